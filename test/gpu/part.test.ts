import { expect, it } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { together } from "../../src/gpu/part.ts";
import { runAndRead, useGpu } from "../support/gpu.ts";

const gpu = useGpu();
const SIZES = [20, 300, 16];
const make = (on: Gpu) => together(on, "three", (take) => SIZES.map((size) => take(`${size} bytes`, size)));

it("lays parts out in one buffer, each where a binding may begin, and each holds its own", async () => {
  const parts = make(gpu());
  expect(parts.map(({ offset, size }) => [offset, size])).toEqual([
    [0, 32],
    [256, 304],
    [768, 16],
  ]);
  expect(new Set(parts.map(({ buffer }) => buffer)).size).toBe(1);
  for (const [i, { buffer, offset, size }] of parts.entries()) {
    gpu().device.queue.writeBuffer(buffer, offset, new Uint32Array(size / 4).fill(i + 1));
  }
  for (const [i, part] of parts.entries()) {
    expect(await runAndRead(gpu(), [], part)).toEqual(new Uint32Array(part.size / 4).fill(i + 1));
  }
  parts[0]!.buffer.destroy();
});

it("gives each a buffer of its own where one would be larger than the adapter's largest, or a part than it binds", () => {
  for (const limits of [
    { maxBufferSize: 768, maxStorageBufferBindingSize: 768 },
    { maxBufferSize: 4096, maxStorageBufferBindingSize: 4096 },
  ]) {
    const parts = make(Object.create(gpu(), { device: { value: { limits } } }));
    expect(new Set(parts.map(({ buffer }) => buffer)).size).toBe(limits.maxBufferSize < 1024 ? 3 : 1);
    for (const { buffer } of parts) buffer.destroy();
  }
  const narrow = { maxBufferSize: 4096, maxStorageBufferBindingSize: 256 };
  expect(() => make(Object.create(gpu(), { device: { value: { limits: narrow } } }))).toThrow(
    /300 bytes needs a buffer of 304 bytes; .* binds at most 256/,
  );
});
