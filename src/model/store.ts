import { crc32 } from "../checkpoint/crc32.ts";
import type { Gpu } from "../gpu/device.ts";
import { VERSION } from "../version.ts";
import type { Timing } from "./timing.ts";
import type { Tuned } from "./tune.ts";

/** What is chosen: the kernels of one row's products, or those of a prompt's. */
export type Kind = "decode" | "prefill";

/**
 * What `tune` finds, unless it is known of this device, or in the host's store of one like it.
 * @param what The choice is for: formats and sizes.
 * @param ways The candidates.
 */
export function tunedOnce(
  gpu: Gpu,
  kind: Kind,
  what: string,
  ways: readonly string[],
  tune: () => Promise<Tuned>,
): Promise<Tuned> {
  return gpu.once(`${kind} ${[...gpu.features].sort()} ${JSON.stringify([what, ways])}`, async () => {
    const known = await recall(gpu, kind, what, ways);
    if (known) return known;
    const tuned = await tune();
    await remember(gpu, kind, keyOf(gpu, what, ways), tuned);
    return tuned;
  });
}

/**
 * What was chosen for matrices of these sizes on an adapter like this one, by a package like this one.
 * @param ways The candidates: of others nothing is taken.
 * @returns undefined where the host has no store, or nothing of the kind in it that is whole.
 */
export async function recall(
  gpu: Gpu,
  kind: Kind,
  what: string,
  ways: readonly string[],
): Promise<Tuned | undefined> {
  const key = keyOf(gpu, what, ways);
  try {
    const bytes = await gpu.store?.read(nameOf(kind, key));
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
async function remember(gpu: Gpu, kind: Kind, key: string, tuned: Tuned): Promise<void> {
  try {
    await gpu.store?.write(nameOf(kind, key), new TextEncoder().encode(JSON.stringify({ key, ...tuned })));
  } catch {
    // It costs the next process the same work, and this one nothing.
  }
}

/** All that a choice depends on. An adapter's info has the driver where WebGPU tells it: its properties are getters. */
function keyOf({ info, features }: Gpu, what: string, ways: readonly string[]): string {
  const adapter: string[] = [];
  for (const name in info) {
    const value: unknown = Reflect.get(info, name);
    if (typeof value === "string") adapter.push(value);
  }
  return JSON.stringify([VERSION, adapter, [...features].sort(), what, ways]);
}

/** A file's name: whose choice it is stands in it as well, so that two of one name only cost the work. */
function nameOf(kind: Kind, key: string): string {
  return `${kind}-${crc32(new TextEncoder().encode(key)).toString(16).padStart(8, "0")}`;
}

function isTiming(value: Partial<Timing> | null): boolean {
  return (
    typeof value?.way === "string" &&
    ["number", "undefined"].includes(typeof value.ms) &&
    ["string", "undefined"].includes(typeof value.dropped)
  );
}
