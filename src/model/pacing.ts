import type { Weights } from "./weights.ts";

/** What one submit may take: a browser draws between two of them, and takes one of seconds for a hang. */
const SUBMIT_MILLISECONDS = 100;
/** Rows of the first pass of several, which tells how long others take; and the fewest that are worth a pass of their own. */
export const FEW_ROWS = 32;

/**
 * How many rows of a prompt a pass takes and in how many submits, so that an adapter is never kept for long: by the time
 * that the pass before it took.
 */
export class Pacing {
  private millisecondsPerRow: number | undefined;
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
    const parts = Math.min(this.submitsOf(rows), dispatches.length);
    const end = (part: number) => Math.round((part * dispatches.length) / parts);
    return Array.from({ length: parts }, (_, i) => dispatches.slice(end(i), end(i + 1)));
  }

  /** Takes note of how long a pass of several rows took. */
  note(rows: number, milliseconds: number): void {
    this.millisecondsPerRow = Math.max(milliseconds / rows, 1e-6);
  }
}

/** Rows of a pass that is timed: all of a chunk, unless by what FEW_ROWS of it took they would keep the adapter for too long. */
export function rowsToTime(capacity: number, milliseconds: number): number {
  const isQuick = (milliseconds * capacity) / FEW_ROWS <= SUBMIT_MILLISECONDS;
  return isQuick ? capacity : Math.min(FEW_ROWS, capacity);
}
