import { expect, test, vi } from "vitest";
import { dawnHost } from "../../node/host.ts";
import { DeviceLostError } from "../../src/errors.ts";
import { openDevice } from "../../src/gpu/device.ts";
import { ReadbackRing } from "../../src/gpu/readback-ring.ts";
import { testDeviceOptions, upload, useGpu } from "../support/gpu.ts";

const shared = useGpu();

test.each([1, 2, 3, 8])(
  "a ring of %i gives what was submitted in its order, again and again",
  async (depth) => {
    const gpu = shared();
    const source = upload(gpu, new Uint32Array(4));
    const before = gpu.allocated;
    const ring = new ReadbackRing(gpu, depth, 8);
    const taken: number[] = [];
    const words = new Uint32Array(2);
    for (let submitted = 0; taken.length < 40; ) {
      while (ring.hasRoom) {
        gpu.device.queue.writeBuffer(source, 0, Uint32Array.of(submitted, 100 + submitted, 5, 5));
        ring.submit(gpu.device.createCommandEncoder(), source);
        submitted++;
        expect(ring.waiting).toBe(submitted - taken.length);
      }
      expect(ring.waiting).toBe(depth);
      expect(await ring.take(words)).toBeGreaterThanOrEqual(0);
      expect(words[1]).toBe(100 + words[0]!);
      taken.push(words[0]!);
    }
    expect(taken).toEqual(Array.from({ length: 40 }, (_, i) => i));
    await ring.drain();
    expect(ring.waiting).toBe(0);
    ring.destroy();
    expect(gpu.allocated).toBe(before);
  },
);

test("a ring tells how long each copy took, not how late it was taken", async () => {
  const gpu = shared();
  const ring = new ReadbackRing(gpu, 2, 4);
  const source = upload(gpu, new Uint32Array(4));
  let clock = 1000;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
  ring.submit(gpu.device.createCommandEncoder(), source);
  clock += 3;
  ring.submit(gpu.device.createCommandEncoder(), source);
  clock += 7;
  // Both arrive now, by the clock: the first after 10, the second with it.
  await gpu.device.queue.onSubmittedWorkDone();
  await new Promise((resolve) => setTimeout(resolve, 50));
  clock += 5000;
  const words = new Uint32Array(1);
  expect(await ring.take(words)).toBe(10);
  expect(await ring.take(words)).toBe(0);
  ring.submit(gpu.device.createCommandEncoder(), source);
  clock += 4;
  expect(await ring.take(words)).toBe(4);
  vi.restoreAllMocks();
  ring.destroy();
});

test("a device that is lost is told to whoever takes, and drains in silence", async () => {
  const host = dawnHost();
  const gpu = await openDevice(host, testDeviceOptions());
  const ring = new ReadbackRing(gpu, 3, 4);
  const source = upload(gpu, new Uint32Array(4));
  for (let i = 0; i < 3; i++) ring.submit(gpu.device.createCommandEncoder(), source);
  gpu.device.destroy();
  await expect(ring.take(new Uint32Array(1))).rejects.toThrow(DeviceLostError);
  await ring.drain();
  expect(ring.waiting).toBe(0);
  gpu.destroy();
  host.release();
});
