import { bytesSource, type OpenFile } from "../../src/checkpoint/source.ts";

const encoder = new TextEncoder();

/** A safetensors file of that header, given as an object or as its very text, and `data`. */
export function safetensors(header: unknown, data: Uint8Array | number = 0, announced?: number): Uint8Array {
  const text = encoder.encode(typeof header === "string" ? header : JSON.stringify(header));
  const tail = typeof data === "number" ? new Uint8Array(data) : data;
  const bytes = new Uint8Array(8 + text.length + tail.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(announced ?? text.length), true);
  bytes.set(text, 8);
  bytes.set(tail, 8 + text.length);
  return bytes;
}

/** A folder in memory: objects are written as JSON. */
export function folder(files: Readonly<Record<string, unknown>>): OpenFile {
  return async (name) => {
    if (!Object.hasOwn(files, name)) return undefined;
    const file = files[name];
    return bytesSource(name, file instanceof Uint8Array ? file : encoder.encode(JSON.stringify(file)));
  };
}
