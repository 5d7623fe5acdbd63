import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { openDevice } from "../../src/gpu/device.ts";
import { nudgingWait } from "../../src/gpu/nudge.ts";
import type { Host } from "../../src/host.ts";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("GPUBufferUsage", { MAP_READ: 1 });
  vi.stubGlobal("GPUMapMode", { READ: 1 });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** How a browser hears that the GPU is done: from a timer of so many milliseconds, and when something is submitted. */
interface Browser {
  readonly timer: number;
  readonly onSubmit?: boolean;
}

/** A device in such a browser, on which work of so many milliseconds can be waited for. */
function deviceIn({ timer, onSubmit = false }: Browser) {
  const pending: { readonly done: number; settle(): void }[] = [];
  let submits = 0;
  const look = () => {
    for (const one of pending.splice(0)) {
      if (one.done <= performance.now()) one.settle();
      else pending.push(one);
    }
  };
  setInterval(look, timer);
  const work = (milliseconds: number) =>
    new Promise<undefined>((settle) => {
      pending.push({ done: performance.now() + milliseconds, settle: () => settle(undefined) });
    });
  const device = {
    lost: new Promise(() => {}),
    addEventListener() {},
    createBuffer: () => ({ mapAsync: () => work(0), unmap() {}, destroy() {} }),
    queue: {
      submit() {
        submits++;
        if (onSubmit) look();
      },
    },
  } as unknown as GPUDevice;
  return { device, work, submits: () => submits };
}

/** What comes of `promise`, and after how many milliseconds. */
async function timed<T>(promise: Promise<T>): Promise<{ result: T; took: number }> {
  const began = performance.now();
  const ending = promise.then((result) => ({ result, took: performance.now() - began }));
  await vi.advanceTimersByTimeAsync(1000);
  return ending;
}

const FIREFOX = { timer: 100, onSubmit: true };

it("submits nothing while it waits, where that is sooner than the browser's timer", async () => {
  const { device, work, submits } = deviceIn(FIREFOX);
  const { result: wait } = await timed(nudgingWait(device));
  expect((await timed(work(7))).took).toBeGreaterThan(50);
  for (const [milliseconds, most] of [
    [0, 1],
    [7, 9],
    [400, 421],
  ] as const) {
    expect((await timed(wait!(work(milliseconds)))).took).toBeLessThanOrEqual(most);
  }
  // Of the longest wait: rarer, the longer it is.
  const before = submits();
  await timed(wait!(work(400)));
  const during = submits() - before;
  expect(during).toBeLessThan(100);
  await vi.advanceTimersByTimeAsync(1000);
  expect(submits() - before).toBe(during);
});

it.each([
  ["tells by itself", { timer: 1 }, 0],
  ["is slow, and no sooner for that", { timer: 120 }, 100],
])("does not where the browser %s", async (_, browser, most) => {
  const { device, submits } = deviceIn(browser);
  expect((await timed(nudgingWait(device))).result).toBeUndefined();
  expect(submits()).toBeLessThanOrEqual(most);
});

it("is no reason to fail", async () => {
  const { device } = deviceIn(FIREFOX);
  device.createBuffer = () => {
    throw new Error("gone");
  };
  expect((await timed(nudgingWait(device))).result).toBeUndefined();
});

it("is found out when a device is opened, unless the host has a way of its own", async () => {
  const { device, work } = deviceIn(FIREFOX);
  const adapter = {
    info: { description: "A card", isFallbackAdapter: false },
    features: new Set(),
    limits: {},
    requestDevice: async () => device,
  };
  const gpu = { wgslLanguageFeatures: new Set(), requestAdapter: async () => adapter };
  const host = { gpu, readShader: async (name: string) => name } as unknown as Host;
  const { result: opened } = await timed(openDevice(host, { limits: "default" }));
  expect((await timed(opened.wait(work(7)))).took).toBeLessThan(10);
  expect(await opened.readShader("a")).toBe("a");

  const own: Host = { ...host, wait: (work) => work };
  const { result: other } = await timed(openDevice(own, { limits: "default" }));
  expect((await timed(other.wait(work(7)))).took).toBeGreaterThan(50);
});
