import type { AheadRow, Candidates } from "../../src/model/language-model.ts";
import type { LlamaModel } from "../../src/model/model.ts";
import type { Sequence } from "../../src/model/sequence.ts";

/** A run ahead of one row. */
export async function aheadOf(
  model: LlamaModel,
  sequence: Sequence,
  token: number,
  most: number,
  choice: Pick<AheadRow, "draws" | "penalties"> = {},
): Promise<{ next(): Promise<Candidates>; end(): Promise<void> }> {
  const run = (await model.ahead([{ sequence, token, ...choice }], most))!;
  return { next: async () => (await run.next())![0]!, end: () => run.end() };
}
