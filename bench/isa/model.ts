import type { Stream } from "../subjects.ts";
import { busiest, type Card } from "./cards.ts";
import {
  CLASSES,
  type Class,
  countClasses,
  type Instruction,
  type Loop,
  loopsOf,
  type Program,
} from "./program.ts";

/** What a pipeline does in its hottest loop. */
export interface Hottest {
  /** Instructions of one trip, by class. */
  readonly counts: Readonly<Record<Class, number>>;
  /** What its work is counted by, where that is known: values of the stream that it reads, or products. */
  readonly unit: "value" | "product" | undefined;
  /** Lane instructions of each class for one of those; of a unit that is not known, none. */
  readonly perUnit: Readonly<Record<Class, number>> | undefined;
  /** Of those, all that take a lane. */
  readonly lanesPerUnit: number | undefined;
}

/**
 * The hottest loop of a pipeline, and its instructions for each unit of its work. Of one row: for each value of what the
 * kernel streams, counted by the bytes that the loop loads from that binding, so that a loop which the compiler unrolled
 * is counted right. Streams that have loops of their own count by their lengths. Of several rows: for each product of the
 * deepest loop that has any, by matrices if some are. Loops inside a loop, whose trips nothing tells, are left out of it.
 */
export function hottest(
  program: Program,
  bindings: readonly string[],
  streams: readonly Stream[],
  tokens: number,
): Hottest {
  const loops = loopsOf(program);
  if (streams.length > 0 && tokens === 1) {
    const found = streams.map((stream) => readingLoop(loops, bindings.indexOf(stream.binding), stream));
    const { loop } = found[0]!;
    if (found.some((reading) => reading.loaded === 0)) return unknown(loop);
    return { counts: countClasses(loop.instructions), unit: "value", ...perValue(found) };
  }
  const products = loops.filter((loop) => productsOf(loop) > 0);
  const byMatrices = products.filter(({ instructions }) =>
    instructions.some((one) => one.class === "matrix"),
  );
  const multiplying = byMatrices.length > 0 ? byMatrices : products;
  if (streams.length === 0 || multiplying.length === 0) return unknown(most(loops, length));
  const deepest = Math.max(...multiplying.map(({ depth }) => depth));
  const loop = most(
    multiplying.filter(({ depth }) => depth === deepest),
    length,
  );
  const counts = countClasses(loop.instructions);
  return { counts, unit: "product", ...scaled(counts, 1 / productsOf(loop)) };
}

function length({ instructions }: Loop): number {
  return instructions.length;
}

function unknown({ instructions }: Loop): Hottest {
  return { counts: countClasses(instructions), unit: undefined, perUnit: undefined, lanesPerUnit: undefined };
}

/** The loop that reads a stream. */
interface Reading {
  readonly loop: Loop;
  /** Values that a lane loads in one trip. */
  readonly loaded: number;
  /** Values of the whole stream. */
  readonly values: number;
}

/** The loop that loads most of a stream; the program itself where none does. */
function readingLoop(loops: readonly Loop[], binding: number, { bits, values }: Stream): Reading {
  const bytes = ({ instructions }: Loop) =>
    instructions.reduce((sum, { load }) => sum + (load?.binding === binding ? load.bytes : 0), 0);
  const repeated = loops.filter((loop) => loop.depth > 0 && bytes(loop) > 0);
  const loop = most(repeated.length > 0 ? repeated : loops, bytes);
  return { loop, loaded: (8 * bytes(loop)) / bits, values };
}

/** The mean over the values of all streams; streams that share a loop share its instructions. */
function perValue(readings: readonly Reading[]): Pick<Hottest, "perUnit" | "lanesPerUnit"> {
  const sum = Object.fromEntries(CLASSES.map((name) => [name, 0])) as Record<Class, number>;
  for (const loop of new Set(readings.map((reading) => reading.loop))) {
    const sharing = readings.filter((reading) => reading.loop === loop);
    const trips = total(sharing, "values") / total(sharing, "loaded") / total(readings, "values");
    for (const [name, count] of Object.entries(countClasses(loop.instructions))) {
      sum[name as Class] += count * trips;
    }
  }
  return scaled(sum, 1);
}

function total(readings: readonly Reading[], key: "values" | "loaded"): number {
  return readings.reduce((sum, reading) => sum + reading[key], 0);
}

function scaled(
  counts: Readonly<Record<Class, number>>,
  factor: number,
): Required<Pick<Hottest, "perUnit" | "lanesPerUnit">> {
  const perUnit = Object.fromEntries(CLASSES.map((name) => [name, counts[name] * factor])) as Record<
    Class,
    number
  >;
  return { perUnit, lanesPerUnit: lanesOf(perUnit) };
}

/** Instructions that take every lane: all but those of a subgroup, and of control. */
export function lanesOf(counts: Readonly<Record<Class, number>>): number {
  return CLASSES.reduce((sum, name) => sum + (name === "scalar" || name === "control" ? 0 : counts[name]), 0);
}

function productsOf({ instructions }: { readonly instructions: readonly Instruction[] }): number {
  return instructions.reduce((sum, { products }) => sum + products, 0);
}

function most(loops: readonly Loop[], weigh: (loop: Loop) => number): Loop {
  return loops.reduce((best, loop) => (weigh(loop) > weigh(best) ? loop : best));
}

/** What a loop asks of a card, if nothing but its instructions and the card's memory bounded it. */
export interface Bound {
  readonly card: string;
  /** The pipe that fills first. */
  readonly pipe: string;
  /**
   * Of values: the share of that pipe that streaming at the card's full bandwidth takes; above 1 the kernel cannot reach
   * it. Of products: the most that the pipe lets through, in TFLOP/s of two operations each.
   */
  readonly share?: number;
  readonly teraflops?: number;
}

/** @param bytesPerUnit what the memory moves for one unit, scales included */
export function boundOn(card: Card, { unit, perUnit }: Hottest, bytesPerUnit: number): Bound | undefined {
  if (!unit || !perUnit) return undefined;
  const { pipe, clocks } = busiest(card, perUnit);
  const unitsPerSecond = (card.units * card.gigahertz * 1e9) / clocks;
  if (unit === "product") return { card: card.name, pipe, teraflops: (2 * unitsPerSecond) / 1e12 };
  return { card: card.name, pipe, share: (card.bandwidth * 1e9) / bytesPerUnit / unitsPerSecond };
}
