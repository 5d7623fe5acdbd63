import { widenBfloats, widenHalves } from "../f16.ts";
import type { Dtype } from "./checkpoint.ts";

export const ELEMENT_BYTES: Readonly<Record<Dtype, number>> = { F32: 4, F16: 2, BF16: 2 };

export function isDtype(name: string): name is Dtype {
  return Object.hasOwn(ELEMENT_BYTES, name);
}

/** Little-endian elements as float32, exactly, in memory of its own. */
export function widen(dtype: Dtype, bytes: Uint8Array): Float32Array {
  if (dtype === "F32") return new Float32Array(copyOf(bytes).buffer);
  return dtype === "F16" ? widenHalves(toWords(bytes)) : widenBfloats(toWords(bytes));
}

/** Little-endian numbers of 16 bits, in the same memory where that is possible. */
export function toWords(bytes: Uint8Array): Uint16Array {
  // A view must begin on an even byte, and what a source hands out need not.
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : copyOf(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, bytes.length / 2);
}

/** Not slice(): that of a `Buffer`, which a source of the caller's may hand out, copies nothing. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
