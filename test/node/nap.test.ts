import { expect, test } from "vitest";
import { dawnHost } from "../../node/host.ts";
import { napUntil } from "../../node/nap.ts";
import { openDevice } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { testDeviceOptions, upload } from "../support/gpu.ts";

/** A loop that asks without a nap takes all of it. */
const LONGEST_AWAKE = 0.5;

test("waiting leaves the processor to others, and the event loop goes on", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  const started = performance.now();
  const before = process.cpuUsage();
  expect(await napUntil(new Promise((resolve) => setTimeout(resolve, 400, "done")))).toBe("done");
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000).toBeLessThan(LONGEST_AWAKE * (performance.now() - started));
  clearInterval(timer);
  expect(turns).toBeGreaterThan(10);
});

test("waits side by side end each on their own, and a failure comes through", async () => {
  const slow = napUntil(new Promise((resolve) => setTimeout(resolve, 50, "slow")));
  await expect(napUntil(Promise.reject(new Error("no device")))).rejects.toThrow("no device");
  expect(await napUntil(Promise.resolve("at once"))).toBe("at once");
  expect(await slow).toBe("slow");
});

test("what is read back is waited for as the host says", async () => {
  const host = dawnHost();
  let waits = 0;
  const gpu = await openDevice(
    {
      ...host,
      gpu: host.gpu,
      wait: (work) => {
        waits++;
        return host.wait!(work);
      },
    },
    testDeviceOptions(),
  );
  const words = new Uint32Array(4);
  const readback = new Readback(gpu);
  await readback.submitAndRead(
    gpu.device.createCommandEncoder(),
    upload(gpu, Uint32Array.of(1, 2, 3, 4)),
    words,
  );
  expect([...words]).toEqual([1, 2, 3, 4]);
  expect(waits).toBe(1);
  readback.destroy();
  gpu.destroy();
  host.release();
});
