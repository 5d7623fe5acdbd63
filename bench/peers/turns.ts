import { median } from "../measure.ts";
import type { Contestant } from "./contestant.ts";

/** What a contestant did in its turns. */
export interface Turns {
  readonly name: string;
  /** Milliseconds a token in each turn. */
  readonly turns: readonly number[];
  readonly msPerToken: number;
  readonly tokensPerSecond: number;
  /** How often the first one's speed goes into this one's, each turn beside the turn before: the median of those. */
  readonly firstOverThis: number;
}

/**
 * Lets the contestants take turns, after one each that does not count: the first pass compiles shaders, and clocks go up.
 * Nobody computes while another one does.
 * @param turn milliseconds a token of one turn.
 */
export async function takeTurns(
  contestants: readonly Contestant[],
  turns: number,
  turn: (contestant: Contestant) => Promise<number>,
): Promise<Turns[]> {
  for (const contestant of contestants) await turn(contestant);
  const ms: number[][] = contestants.map(() => []);
  for (let i = 0; i < turns; i++) {
    for (const [at, contestant] of contestants.entries()) ms[at]!.push(await turn(contestant));
  }
  return contestants.map(({ name }, at) => {
    const msPerToken = median(ms[at]!);
    return {
      name,
      turns: ms[at]!,
      msPerToken,
      tokensPerSecond: 1000 / msPerToken,
      firstOverThis: median(ms[at]!.map((own, i) => own / ms[0]![i]!)),
    };
  });
}
