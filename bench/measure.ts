import type { Gpu } from "../src/gpu/device.ts";
import { type Dispatch, encode } from "../src/gpu/kernel.ts";
import { median } from "../src/model/timing.ts";

/** What a subject took, and what it must at least move and compute. */
export interface Measured {
  readonly name: string;
  readonly ms: number;
  readonly bytes: number;
  readonly flops: number;
  readonly tokensPerSecond?: number;
}

export { median };

/** Milliseconds from submit to done of `repeats` runs of the dispatches, per run. */
async function timeOnce(gpu: Gpu, dispatches: readonly Dispatch[], repeats: number): Promise<number> {
  const encoder = gpu.device.createCommandEncoder();
  for (let i = 0; i < repeats; i++) encode(encoder, dispatches, "bench");
  const commands = encoder.finish();
  const start = performance.now();
  gpu.device.queue.submit([commands]);
  await gpu.wait(gpu.device.queue.onSubmittedWorkDone());
  gpu.check();
  return (performance.now() - start) / repeats;
}

/** Aim of one timed submit, in milliseconds: well above the cost of a submit, well below a watchdog's patience. */
const SUBMIT_MS = 100;
const SAMPLES = 5;

/** Median milliseconds of each subject, the subjects interleaved so that drift meets all of them alike. */
export async function timeInterleaved(
  gpu: Gpu,
  subjects: readonly (readonly Dispatch[])[],
): Promise<number[]> {
  const repeats: number[] = [];
  for (const dispatches of subjects) {
    await timeOnce(gpu, dispatches, 1);
    repeats.push(Math.max(1, Math.min(1000, Math.round(SUBMIT_MS / (await timeOnce(gpu, dispatches, 1))))));
  }
  const samples: number[][] = subjects.map(() => []);
  for (let sample = 0; sample < SAMPLES; sample++) {
    for (const [i, dispatches] of subjects.entries())
      samples[i]!.push(await timeOnce(gpu, dispatches, repeats[i]!));
  }
  return samples.map(median);
}
