import { expect, test } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { MOST_DRAWN, ROWS_HEADER, rowsBytes } from "../../src/kernels/rows.ts";
import { Rows } from "../../src/model/rows.ts";
import { KvCache } from "../../src/model/sequence.ts";
import { upload, useGpu } from "../support/gpu.ts";

/** One less, exactly, one more. */
const around = (size: number) => [size - 1, size, size + 1];

test.each([1, 2, 32].flatMap(around).filter(Boolean))(
  "the rows of a pass of %i, full and one less",
  (capacity) => {
    const sizes: number[] = [];
    const written: Uint32Array[] = [];
    const gpu = { buffer: (_: string, size: number) => sizes.push(size) } as unknown as Gpu;
    const queue = {
      // As WebGPU has it: what is not in the array cannot be written.
      writeBuffer(_: unknown, at: number, words: Uint32Array, first: number, count: number) {
        expect(at + 4 * count).toBeLessThanOrEqual(sizes[0]!);
        expect(first + count).toBeLessThanOrEqual(words.length);
        written.push(words.slice(first, first + count));
      },
    } as unknown as GPUQueue;
    const rows = new Rows(gpu, capacity);
    expect(sizes).toEqual([rowsBytes(capacity), rowsBytes(MOST_DRAWN)]);
    expect(rowsBytes(capacity)).toBe(4 * ROWS_HEADER + 16 * capacity);
    const cache = new KvCache({ context: 64, page: 32, pages: 2 }, { setPages() {}, copyPage() {} });
    const sequence = cache.open();
    sequence.reserve(capacity);
    for (const count of [capacity - 1, capacity]) {
      const tokens = Array.from({ length: count + 1 }, (_, i) => 1000 + i);
      rows.clear();
      const drawn = Math.min(count, 3);
      rows.add({ sequence, tokens, first: 1, count, drawn });
      rows.write(queue);
      const wanted = tokens.slice(1).flatMap((token, i) => [token, i, sequence.line!, i]);
      const [all, few] = written.slice(-2);
      expect([...all!.subarray(0, 2)]).toEqual([count, drawn]);
      expect([...all!.subarray(4, 4 + drawn)]).toEqual([count - 3, count - 2, count - 1].slice(-drawn || 3));
      expect([...all!.subarray(ROWS_HEADER)]).toEqual(wanted);
      expect([...few!]).toEqual([drawn]);
    }
  },
);

const shared = useGpu();

test("what is read back is as long as asked for, whatever was read before", async () => {
  const gpu = shared();
  const words = Uint32Array.from({ length: 65 }, (_, i) => 7 * i + 1);
  const source = upload(gpu, words);
  const readback = new Readback(gpu);
  const sizes = [63, 64, 65, 64, 1, 65, 63];
  for (const size of sizes) {
    // One word more than is asked for, which nothing may write.
    const room = new Uint32Array(size + 1).fill(9);
    const encoder = gpu.device.createCommandEncoder();
    await readback.submitAndRead(encoder, source, room.subarray(0, size));
    expect([...room], `${size} words`).toEqual([...words.subarray(0, size), 9]);
  }
  readback.destroy();
  source.destroy();
});
