import { describe, expect, test } from "vitest";
import { toWords, widen } from "../../src/checkpoint/dtype.ts";

const numbers = [1, -2, 0.5, 3];
const stored = {
  F32: new Uint8Array(Float32Array.from(numbers).buffer),
  F16: new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x3800, 0x4200).buffer),
  BF16: new Uint8Array(Uint16Array.of(0x3f80, 0xc000, 0x3f00, 0x4040).buffer),
} as const;

describe.each(["F32", "F16", "BF16"] as const)("%s", (dtype) => {
  const bytes = stored[dtype];

  test.each([0, 1, 2, 3])("is widened exactly from byte %i of whatever memory it lies in", (offset) => {
    const memory = new Uint8Array(bytes.length + 8).fill(0x55);
    memory.set(bytes, offset);
    // A Buffer's slice() shares memory, where that of a Uint8Array is a copy.
    for (const of of [memory, Buffer.from(memory.buffer)]) {
      const widened = widen(dtype, of.subarray(offset, offset + bytes.length));
      expect([...widened]).toEqual(numbers);
      widened.fill(0);
      expect([...of.subarray(offset, offset + bytes.length)]).toEqual([...bytes]);
    }
  });
});

test.each([0, 1])("words are those of the bytes, from byte %i of a Buffer", (offset) => {
  const memory = Buffer.alloc(20, 0x55);
  memory.set(stored.F16, offset);
  expect([...toWords(memory.subarray(offset, offset + 8))]).toEqual([0x3c00, 0xc000, 0x3800, 0x4200]);
});
