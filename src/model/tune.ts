import { DeviceError, ShaderError } from "../errors.ts";
import type { Arithmetic } from "../kernels/vector.ts";
import { type Candidate, pickWay, type Timing, type Trial, timeWays } from "./timing.ts";

/** The way that was found to be the fastest, and all that were tried. */
export interface Tuned {
  readonly way: string;
  readonly timings: readonly Timing[];
}

/** A way that can be run, and what comes of it. */
export interface Tried extends Trial {
  result(): Promise<Float32Array>;
}

/** Where ways are tried, one after the other. */
export interface Tryout<Way> {
  /** Compiles a way. @throws ShaderError where it does not compile. */
  prepare(way: Way): Promise<Tried>;
  /** Releases what was allocated, and leaves what is the model's as empty as it was. */
  end(): void;
}

/** After so many milliseconds no further way is compiled: what is left of the budget is for timing. */
const COMPILING_MS = 150;

/**
 * How far the results of two ways may be apart, as a share of their length: another order of f32 sums, of which
 * activations near the middle between two integers of eight bits are rounded otherwise.
 */
const ORDER = 2e-3;
/**
 * As ORDER, where one of the two rounds what is between the products to eight bits: it was 0.004 at the widths of 13B. A
 * group of 32 columns that is left out of the 432 of its widest matrix makes one in twenty.
 */
const ROUNDING = 0.04;

/**
 * Times ways on a tryout, which it ends, and holds each result to that of the first way.
 * @param ways The candidates, the most promising first.
 * @param what They are kernels of: for messages.
 * @throws DeviceError where none of them gives numbers.
 */
export async function tune<Way extends Candidate>(
  start: () => Tryout<Way>,
  ways: readonly Way[],
  what: string,
): Promise<Tuned> {
  const began = performance.now();
  const elapsed = () => performance.now() - began;
  const tryout = start();
  try {
    const { good, dropped } = await tryWays(tryout, ways, elapsed);
    const timings = [...(await timeWays(good, elapsed)), ...dropped];
    const way = pickWay(ways, timings);
    if (!way) {
      const reasons = timings.map(({ way, dropped }) => `${way} ${dropped}`).join("; ");
      throw new DeviceError(`No way of the kernels of ${what} works on this adapter: ${reasons}.`);
    }
    return { way: way.name, timings };
  } finally {
    tryout.end();
  }
}

/** Those that compile in time and agree with the first; why the others are dropped. */
export async function tryWays<Way extends Candidate>(
  tryout: Pick<Tryout<Way>, "prepare">,
  ways: readonly Way[],
  elapsed: () => number,
): Promise<{ good: Trial[]; dropped: Timing[] }> {
  const good: Trial[] = [];
  const dropped: Timing[] = [];
  const references: Reference[] = [];
  for (const batch of batches(ways)) {
    const late = references.length > 0 && elapsed() > COMPILING_MS;
    if (late) {
      dropped.push(...batch.map(({ name }) => ({ way: name, dropped: "not compiled in time" })));
      continue;
    }
    const compiled = await Promise.allSettled(batch.map((way) => tryout.prepare(way)));
    for (const [i, way] of batch.entries()) {
      const outcome = compiled[i]!;
      if (outcome.status === "rejected") {
        if (!(outcome.reason instanceof ShaderError)) throw outcome.reason;
        dropped.push({ way: way.name, dropped: "does not compile" });
        continue;
      }
      const wrong = disagreement(references, way.arithmetic, await outcome.value.result());
      if (wrong === undefined) good.push(outcome.value);
      else dropped.push({ way: way.name, dropped: wrong });
    }
  }
  return { good, dropped };
}

/**
 * The ways of one tile are compiled together, and the f32 among them is looked at first: no way has less about it that an
 * adapter may get wrong, and the others are held to it.
 */
function batches<Way extends Candidate>(ways: readonly Way[]): Way[][] {
  const exactFirst = [...ways].sort(
    (a, b) => Number(a.arithmetic !== "f32") - Number(b.arithmetic !== "f32"),
  );
  const tiles = new Set(ways.map(({ tile }) => tile));
  return Array.from(tiles, (tile) => exactFirst.filter((way) => way.tile === tile));
}

/** The first result of an arithmetic. */
interface Reference {
  readonly arithmetic: Arithmetic;
  readonly result: Float32Array;
}

/** What is wrong with a way's result; undefined where nothing is. The first good one of an arithmetic is noted. */
function disagreement(
  references: Reference[],
  arithmetic: Arithmetic,
  result: Float32Array,
): string | undefined {
  const length = lengthOf(result);
  if (!(length > 0 && length < Number.POSITIVE_INFINITY)) return "gives no numbers";
  const own = references.find((reference) => reference.arithmetic === arithmetic);
  const reference = own ?? references[0];
  if (reference) {
    const difference = lengthOf(result, reference.result) / lengthOf(reference.result);
    if (difference > (own ? ORDER : ROUNDING)) {
      return `wrong: its result is ${(100 * difference).toPrecision(2)} % off`;
    }
  }
  if (!own) references.push({ arithmetic, result });
  return undefined;
}

function lengthOf(a: Float32Array, origin?: Float32Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - (origin?.[i] ?? 0)) ** 2, 0));
}
