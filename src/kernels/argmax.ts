import { ConfigError } from "../errors.ts";
import { reducing } from "./reduce.ts";
import type { Operation } from "./way.ts";

/** Which logits a selection kernel looks at. */
export interface SelectionShape {
  /** Logits there are. */
  readonly vocab: number;
  /** Ids at and above it are masked: the tokenizer's length. */
  readonly limit: number;
  /** Rows whose logits are asked for, at most MOST_DRAWN. */
  readonly drawn: number;
}

const LANES = 256;

/** f32 carries ids exactly up to here, and the reductions are of f32. */
const MOST_IDS = 2 ** 24;

/**
 * best [drawn, 2] = of each row of logits the id of the largest among ids below the limit, and that logit; of equal logits
 * the lowest id. If any of them is NaN: the lowest id of a NaN, and NaN. logits [drawn, vocab] f32; best u32, the logit as
 * the bits of an f32; of rows, how many are drawn.
 */
export const ARGMAX: Operation<SelectionShape, "logits" | "best" | "rows"> = {
  name: "argmax",
  bindings: () => ["logits", "best", "rows"],
  ways: reducing("", (part) => ({
    files: () => ["rows", part, "argmax"],
    constants: (shape) => ({ VOCAB: shape.vocab, LIMIT: selectionLimit(shape), WORKGROUP: LANES }),
    grid: ({ drawn }) => [drawn],
  })),
};

/** @throws ConfigError when the limit leaves no id to choose, or is above the vocabulary. */
export function selectionLimit({ vocab, limit }: SelectionShape): number {
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= vocab && limit <= MOST_IDS)) {
    throw new ConfigError(
      `A token is chosen among 1 to ${Math.min(vocab, MOST_IDS)} ids here; the tokenizer has ${limit}.`,
    );
  }
  return limit;
}
