import { type Candidates, MAX_CANDIDATES, type Want } from "./language-model.ts";
import type { State } from "./state.ts";

/** Where what is wanted of a row is left, and the host's one copy of it. */
export interface Drawn {
  readonly source: GPUBuffer;
  readonly words: Uint32Array;
  /** Views of the copy. */
  readonly candidates: Candidates;
}

/** For the rows that a state's passes draw from: made once, and filled by each pass. */
export function drawnOf({ logits, best }: State, tokenCount: number): Readonly<Record<Want, Drawn>> {
  const chosen = (count: number): Drawn => {
    const words = new Uint32Array(2 * count);
    const known = Math.min(count, tokenCount);
    const ids = words.subarray(0, known);
    return {
      source: best,
      words,
      candidates: { ids, logits: new Float32Array(words.buffer, 4 * count, known) },
    };
  };
  const all = new Float32Array(tokenCount);
  return {
    argmax: chosen(1),
    candidates: chosen(MAX_CANDIDATES),
    logits: {
      source: logits,
      words: new Uint32Array(all.buffer),
      candidates: { ids: Uint32Array.from(all, (_, id) => id), logits: all },
    },
  };
}
