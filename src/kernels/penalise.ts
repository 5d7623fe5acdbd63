import type { SelectionShape } from "./argmax.ts";
import type { Operation } from "./way.ts";

/** What is made less likely before a token is chosen: of the options of an answer, those that the kernel has. */
export interface Penalties {
  /** From 0.01 to 100: above 1 makes tokens that were seen less likely. */
  readonly repetition_penalty: number;
  /** Ids that are never chosen. */
  readonly suppress_tokens?: ReadonlySet<number> | undefined;
}

type PenaltyShape = Pick<SelectionShape, "vocab" | "drawn">;

const LANES = 256;

/**
 * Of each drawn row's logits [drawn, vocab] f32, in place: those of tokens that were seen, its own the last of them, times
 * penaltyFactors(), and -Infinity for those that are suppressed. What is NaN or infinite stays. marks [drawn, marksLength()] u32: see
 * setMarks(); the row's token is added to them. rows as rows.wgsl has them.
 */
export const PENALISE: Operation<PenaltyShape, "logits" | "marks" | "rows"> = {
  name: "penalise",
  bindings: () => ["logits", "marks", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "penalise"],
      constants: ({ vocab }) => ({ VOCAB: vocab, WORDS: setLength(vocab), LANES }),
      grid: ({ vocab, drawn }) => [Math.ceil(vocab / LANES), drawn],
    },
  ],
};

/** Words of a set of ids, a bit each. */
function setLength(vocab: number): number {
  return Math.ceil(vocab / 32);
}

/** Words of the marks of a row. */
export function marksLength(vocab: number): number {
  return 2 + 2 * setLength(vocab);
}

/**
 * What logits below zero are multiplied by, and what others are: both f32, so that a product rounds alike everywhere, which quotients
 * do not (Keskar et al., CTRL, 2019, divide).
 */
export function penaltyFactors(penalty: number): Float32Array<ArrayBuffer> {
  return Float32Array.of(penalty, 1 / penalty);
}

/**
 * Marks what penalise.wgsl is to look at.
 * @param marks Of a row, marksLength() zeros.
 * @param seen Ids that were seen before the row's own.
 */
export function setMarks(
  marks: Uint32Array,
  { repetition_penalty: penalty, suppress_tokens: suppressed = new Set() }: Penalties,
  seen: Iterable<number>,
): void {
  const words = (marks.length - 2) / 2;
  marks.set(new Uint32Array(penaltyFactors(penalty).buffer));
  for (const id of seen) marks[2 + (id >>> 5)]! |= 1 << (id & 31);
  for (const id of suppressed) {
    // Some configurations suppress ids that no row has.
    if (id >>> 5 < words) marks[2 + words + (id >>> 5)]! |= 1 << (id & 31);
  }
}
