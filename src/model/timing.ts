import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encode } from "../gpu/kernel.ts";
import type { Arithmetic } from "../kernels/vector.ts";

/** A way of the products, how long it took, and why it was left, where it was. */
export interface Timing {
  readonly way: string;
  /** Of one run: the median. Left out, it was not timed. */
  readonly ms?: number;
  readonly dropped?: string;
}

/** A way that may be taken. */
export interface Candidate {
  readonly name: string;
  readonly arithmetic: Arithmetic;
  /** Ways of one tile are compiled together; where it is left out, all of them. */
  readonly tile?: string;
}

/** A way that can be run. */
export interface Trial {
  readonly way: string;
  /** Milliseconds of one of `repeats` runs, from submit to done. */
  run(repeats: number): Promise<number>;
}

/** Of a sample: far above the cost of a submit, and fourteen of them far below what a person waits for. */
const SAMPLE_MS = 4;
const SAMPLES = 3;
const MOST_REPEATS = 500;
/** A way this many times as slow as the best is not run again. */
const SLOW = 3;
/** What timing may take in all, what was done before it included, as long as each way was timed once. */
const BUDGET_MS = 300;
/** Differences that come back otherwise in the next run: of two ways this close, the one that is listed first. */
const NOISE = 0.03;
/**
 * "i8" rounds activations to eight bits, "f32" does not: the answer a little further from the model's own is taken for a
 * gain that shows, of a tenth at least.
 */
const ROUNDING_GAIN = 0.1;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds of one of `repeats` runs of dispatches, one after the other, from submit to done. */
export async function timeRuns(gpu: Gpu, dispatches: readonly Dispatch[], repeats: number): Promise<number> {
  const encoder = gpu.device.createCommandEncoder({ label: "trial" });
  encode(encoder, Array.from({ length: repeats }, () => dispatches).flat(), "trial");
  const commands = encoder.finish();
  const start = performance.now();
  gpu.device.queue.submit([commands]);
  await gpu.finished();
  return (performance.now() - start) / repeats;
}

/**
 * Times ways in turns, so that drift meets all of them alike. Each must have run before.
 * @param elapsed Milliseconds since the work began that the budget is for.
 */
export async function timeWays(trials: readonly Trial[], elapsed: () => number): Promise<Timing[]> {
  const timed = trials.map((trial) => ({ trial, once: 0, samples: [] as number[], slow: false }));
  let best = Number.POSITIVE_INFINITY;
  for (const one of timed) {
    one.once = await one.trial.run(1);
    // Once more, where something else may have held it up.
    if (one.once > SLOW * best) one.once = Math.min(one.once, await one.trial.run(1));
    best = Math.min(best, one.once);
    one.slow = one.once > SLOW * best;
  }
  const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.round(SAMPLE_MS / best)));
  // Of a run alone the submit is a part, so that the best has to be found anew.
  best = Number.POSITIVE_INFINITY;
  for (let sample = 0; sample < SAMPLES && (sample === 0 || elapsed() < BUDGET_MS); sample++) {
    for (const one of timed.filter(({ slow }) => !slow)) {
      one.samples.push(await one.trial.run(repeats));
      // The least of its samples: one that something else held up does not make a way slow, and the best never is.
      const least = Math.min(...one.samples);
      best = Math.min(best, least);
      one.slow = least > SLOW * best;
    }
  }
  return timed.map(({ trial: { way }, once, samples, slow }) => ({
    way,
    ms: samples.length > 0 ? median(samples) : once,
    ...(slow ? { dropped: `more than ${SLOW} times as slow as the best` } : {}),
  }));
}

/** The way to take of those that were timed; undefined where none was. */
export function pickWay<Way extends Candidate>(
  ways: readonly Way[],
  timings: readonly Timing[],
): Way | undefined {
  const left = ways.flatMap((way) => {
    const timing = timings.find((timing) => timing.way === way.name);
    return timing?.ms === undefined || timing.dropped ? [] : [{ way, ms: timing.ms }];
  });
  const bestOf = (rounds: boolean) => {
    const some = left.filter(({ way }) => (way.arithmetic === "i8") === rounds);
    const best = Math.min(...some.map(({ ms }) => ms));
    return some.find(({ ms }) => ms <= best * (1 + NOISE));
  };
  const [rounded, exact] = [bestOf(true), bestOf(false)];
  if (!rounded || !exact) return (rounded ?? exact)?.way;
  return (rounded.ms * (1 + ROUNDING_GAIN) <= exact.ms ? rounded : exact).way;
}
