import { widenBfloats, widenHalves } from "../f16.ts";
import type { Dtype } from "./checkpoint.ts";

export const ELEMENT_BYTES: Readonly<Record<Dtype, number>> = { F32: 4, F16: 2, BF16: 2 };

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(ELEMENT_BYTES, name);
}

/** Little-endian elements as float32, exactly. */
export function widen(dtype: Dtype, bytes: Uint8Array): Float32Array {
  const size = ELEMENT_BYTES[dtype];
  // A view must begin on a multiple of its element's size; what a source hands out need not.
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const count = bytes.length / size;
  if (dtype === "F32") return new Float32Array(aligned.buffer, aligned.byteOffset, count);
  const words = new Uint16Array(aligned.buffer, aligned.byteOffset, count);
  return dtype === "F16" ? widenHalves(words) : widenBfloats(words);
}
