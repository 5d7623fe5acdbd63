import type { Weights } from "./weights.ts";

/** What one submit may take: a browser draws between two of them, and takes one of seconds for a hang. */
const SUBMIT_MILLISECONDS = 100;
/** Rows of the first pass of several, which tells how long others take; and the fewest that are worth a pass of their own. */
export const FEW_ROWS = 32;

/**
 * How many rows of a prompt a pass takes, and in how many submits it and a pass of single tokens go, so that an adapter is never
 * kept for long: by the time that the pass before it took.
 */
export class Pacing {
  private millisecondsPerRow: number | undefined;
  /** Of a pass of single tokens. */
  private tokenMilliseconds: number | undefined;
  private readonly layers: number;
  /** What the longest dispatch takes of a pass. */
  private readonly longest: number;

  constructor({ layers }: Weights) {
    const sizes = layers.flatMap(({ qkv, out, gateUp, down }) =>
      [qkv, out, gateUp, down].map(({ rows, columns }) => rows * columns),
    );
    this.layers = layers.length;
    this.longest = Math.max(...sizes) / sizes.reduce((a, b) => a + b);
  }

  /** Rows of the next pass, of `left` that are still to be run. */
  rowsOf(left: number, capacity: number): number {
    const { millisecondsPerRow: known } = this;
    const rows = known === undefined ? FEW_ROWS : Math.floor(SUBMIT_MILLISECONDS / (known * this.longest));
    const count = Math.min(left, capacity, Math.max(FEW_ROWS, rows));
    // A row that was left over would run by the kernels of one row, or not, as the time has it.
    return count > 2 && left - count === 1 ? count - 1 : count;
  }

  /** Submits of a pass of several rows: one a layer where nothing is known yet. */
  submitsOf(rows: number): number {
    const { millisecondsPerRow: known } = this;
    return known === undefined ? this.layers : Math.ceil((known * rows) / SUBMIT_MILLISECONDS);
  }

  /** The dispatches of a pass of several rows, a list a submit. */
  partsOf<T>(dispatches: readonly T[], rows: number): T[][] {
    return divide(dispatches, this.submitsOf(rows));
  }

  /** The same of a pass of single tokens. */
  tokenPartsOf<T>(dispatches: readonly T[]): readonly (readonly T[])[] {
    // Before the first of them a row of a prompt tells, which is no slower.
    const known = this.tokenMilliseconds ?? this.millisecondsPerRow ?? 0;
    return known > SUBMIT_MILLISECONDS
      ? divide(dispatches, Math.ceil(known / SUBMIT_MILLISECONDS))
      : [dispatches];
  }

  /** Takes note of how long a pass of several rows took. */
  note(rows: number, milliseconds: number): void {
    this.millisecondsPerRow = Math.max(milliseconds / rows, 1e-6);
  }

  /** Takes note of how long a pass of single tokens took; one that something else held up counts as twice the one before it. */
  noteTokens(milliseconds: number): void {
    const { tokenMilliseconds: known = milliseconds } = this;
    this.tokenMilliseconds = Math.max(Math.min(milliseconds, 2 * known), 1);
  }
}

/** All of a list in their order, in at most `count` parts of about the same length. */
function divide<T>(all: readonly T[], count: number): T[][] {
  const parts = Math.min(count, all.length);
  const end = (part: number) => Math.round((part * all.length) / parts);
  return Array.from({ length: parts }, (_, i) => all.slice(end(i), end(i + 1)));
}

/** Rows of a pass that is timed: all of a chunk, unless by what FEW_ROWS of it took they would keep the adapter for too long. */
export function rowsToTime(capacity: number, milliseconds: number): number {
  const isQuick = (milliseconds * capacity) / FEW_ROWS <= SUBMIT_MILLISECONDS;
  return isQuick ? capacity : Math.min(FEW_ROWS, capacity);
}
