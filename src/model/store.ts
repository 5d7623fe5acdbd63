import { crc32 } from "../checkpoint/crc32.ts";
import type { Gpu } from "../gpu/device.ts";
import { VERSION } from "../version.ts";
import type { Timing } from "./timing.ts";
import type { Tuned } from "./tune.ts";

/**
 * What was chosen for matrices of these sizes on an adapter like this one, by a package like this one.
 * @param ways The candidates: of others nothing is taken.
 * @returns undefined where the host has no store, or nothing of the kind in it that is whole.
 */
export async function recall(gpu: Gpu, what: string, ways: readonly string[]): Promise<Tuned | undefined> {
  const key = keyOf(gpu, what);
  try {
    const bytes = await gpu.store?.read(nameOf(key));
    if (!bytes) return undefined;
    const { key: kept, way, timings } = JSON.parse(new TextDecoder().decode(bytes));
    if (kept !== key || !ways.includes(way) || !Array.isArray(timings)) return undefined;
    return timings.every(isTiming) ? { way, timings } : undefined;
  } catch {
    // A store may fail and its bytes may be damaged: what was found out is found out again.
    return undefined;
  }
}

/** Leaves a choice for the next process, where the host has a store that takes it. */
export async function remember(gpu: Gpu, what: string, tuned: Tuned): Promise<void> {
  const key = keyOf(gpu, what);
  try {
    await gpu.store?.write(nameOf(key), new TextEncoder().encode(JSON.stringify({ key, ...tuned })));
  } catch {
    // It costs the next process the same work, and this one nothing.
  }
}

/** All that a choice depends on. An adapter's info has the driver where WebGPU tells it: its properties are getters. */
function keyOf({ info, features }: Gpu, what: string): string {
  const adapter: string[] = [];
  for (const name in info) {
    const value: unknown = Reflect.get(info, name);
    if (typeof value === "string") adapter.push(value);
  }
  return JSON.stringify([VERSION, adapter, [...features].sort(), what]);
}

/** A file's name: whose choice it is stands in it as well, so that two of one name only cost the work. */
function nameOf(key: string): string {
  return `decode-${crc32(new TextEncoder().encode(key)).toString(16).padStart(8, "0")}`;
}

function isTiming(value: Partial<Timing> | null): boolean {
  return (
    typeof value?.way === "string" &&
    ["number", "undefined"].includes(typeof value.ms) &&
    ["string", "undefined"].includes(typeof value.dropped)
  );
}
