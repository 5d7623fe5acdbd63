import { median } from "../measure.ts";

/** Who takes part, and milliseconds of one of its turns. */
export interface Entrant {
  readonly name: string;
  turn(): Promise<number>;
}

/**
 * Lets the entrants take turns, A B C A B C, after one each that does not count: the first pass compiles shaders, and
 * clocks go up. Nobody computes while another one does.
 * @returns by entrant, milliseconds of each turn.
 */
export async function takeTurns(entrants: readonly Entrant[], turns: number): Promise<number[][]> {
  for (const entrant of entrants) await entrant.turn();
  const ms: number[][] = entrants.map(() => []);
  for (let i = 0; i < turns; i++) {
    for (const [at, entrant] of entrants.entries()) ms[at]!.push(await entrant.turn());
  }
  return ms;
}

/** The median of a[i] / b[i]: each turn beside the one nearest in time, so that a machine's drift meets both. */
export function medianRatio(a: readonly number[], b: readonly number[]): number {
  return median(a.map((value, i) => value / b[i]!));
}
