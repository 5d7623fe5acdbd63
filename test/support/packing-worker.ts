import { servePacking } from "../../web/convert/pack.ts";

/** Bytes of files that are being read, as far as this worker asked for them, and the most there were. */
let [reading, most] = [0, 0];
const told = new BroadcastChannel("reads");

const { arrayBuffer } = Blob.prototype;
Blob.prototype.arrayBuffer = async function () {
  reading += this.size;
  most = Math.max(most, reading);
  told.postMessage(most);
  try {
    return await arrayBuffer.call(this);
  } finally {
    reading -= this.size;
  }
};

servePacking();
