import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DeviceLostError, OptionError } from "../../src/errors.ts";
import type { Rung } from "../../src/gpu/features.ts";
import { reopenDevice } from "../../src/gpu/reopen.ts";
import type { Host } from "../../src/host.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** How a device is asked for. */
interface Asked {
  /** In milliseconds, from the beginning. */
  readonly at: number[];
  destroyed: number;
}

/** A host that has an adapter of this name from some time on; until then, only others. */
function comingBack(seconds: number, others: readonly string[] = []) {
  const began = Date.now();
  const asked: Asked = { at: [], destroyed: 0 };
  const device = {
    lost: new Promise(() => {}),
    addEventListener() {},
    removeEventListener() {},
    destroy: () => void asked.destroyed++,
  };
  const adapterOf = (description: string) => ({
    info: { description, isFallbackAdapter: false },
    features: new Set(),
    limits: {},
    requestDevice: async () => device,
  });
  const gpu = {
    wgslLanguageFeatures: new Set(),
    async requestAdapter({ powerPreference }: GPURequestAdapterOptions) {
      if (powerPreference !== "high-performance") return null;
      asked.at.push(Date.now() - began);
      const names = Date.now() - began >= 1000 * seconds ? ["A card"] : others;
      return names.length > 0 ? adapterOf(names[0]!) : null;
    },
  };
  return { host: { gpu, readShader: async () => "" } as unknown as Host, asked };
}

const CARD = { adapter: "A card", limits: "default" } as const;

it("waits for an adapter that is not there for half a minute", async () => {
  const { host, asked } = comingBack(30);
  const opening = reopenDevice(host, CARD, new AbortController().signal);
  await vi.advanceTimersByTimeAsync(29_000);
  const early = asked.at.length;
  await vi.advanceTimersByTimeAsync(6000);
  expect((await opening).info.description).toBe("A card");
  // At first often, later every five seconds.
  expect(asked.at.slice(0, 5)).toEqual([0, 250, 750, 1750, 3750]);
  expect(early).toBe(10);
  expect(asked.at.length).toBe(early + 1);
});

it("does not take another adapter for it, and says after a minute what there was instead", async () => {
  const { host, asked } = comingBack(1000, ["Some software"]);
  const opening = reopenDevice(host, CARD, new AbortController().signal);
  const failed = expect(opening).rejects.toThrow(
    /^The GPU device was lost, and none could be opened in 16 tries within 58 seconds: No adapter matches "A card"; WebGPU found Some software\.$/,
  );
  await vi.advanceTimersByTimeAsync(60_000);
  await failed;
  await expect(opening).rejects.toThrow(DeviceLostError);
  expect(asked.at.length).toBe(16);
});

it("ends when it is told to, and keeps no device then", async () => {
  const { host, asked } = comingBack(1);
  const end = new AbortController();
  const opening = reopenDevice(host, CARD, end.signal);
  const failed = expect(opening).rejects.toThrow("enough");
  await vi.advanceTimersByTimeAsync(900);
  end.abort(new Error("enough"));
  await failed;
  expect(asked.at.length).toBe(3);

  const late = comingBack(0);
  const abort = new AbortController();
  const pending = reopenDevice(late.host, CARD, abort.signal);
  abort.abort(new Error("enough"));
  await expect(pending).rejects.toThrow("enough");
  expect(late.asked.destroyed).toBe(1);
});

it("does not try again what cannot be", async () => {
  const { host, asked } = comingBack(0);
  const opening = reopenDevice(host, { ...CARD, rung: "warp" as Rung }, new AbortController().signal);
  await expect(opening).rejects.toThrow(OptionError);
  expect(asked.at.length).toBe(1);
});
