import { MOST_DRAWN } from "../kernels/rows.ts";
import { type Candidates, MAX_CANDIDATES, type Want } from "./language-model.ts";
import type { State } from "./state.ts";

/** Where what is wanted of the drawn rows is left, and the host's one copy of it. */
export interface Drawn {
  readonly source: GPUBuffer;
  /** The copy of the first so many rows, by how many they are less one. */
  readonly words: readonly Uint32Array[];
  /** Views of the copy, a row each. */
  readonly candidates: readonly Candidates[];
}

/** For the rows that a state's passes draw from: made once, and filled by each pass. */
export function drawnOf(
  { logits, best, chosen }: State,
  tokenCount: number,
): Readonly<Record<Want | "chosen", Drawn>> {
  const few = (count: number, source: GPUBuffer): Drawn => {
    const words = new Uint32Array(MOST_DRAWN * 2 * count);
    const known = Math.min(count, tokenCount);
    return {
      source,
      words: eachRow((d) => words.subarray(0, (d + 1) * 2 * count)),
      candidates: eachRow((d) => ({
        ids: words.subarray(d * 2 * count, d * 2 * count + known),
        logits: new Float32Array(words.buffer, 4 * (2 * d + 1) * count, known),
      })),
    };
  };
  const vocab = logits.size / 4 / MOST_DRAWN;
  const all = new Float32Array((MOST_DRAWN - 1) * vocab + tokenCount);
  const ids = Uint32Array.from({ length: tokenCount }, (_, id) => id);
  return {
    argmax: few(1, best),
    candidates: few(MAX_CANDIDATES, best),
    chosen: few(1, chosen),
    logits: {
      source: logits,
      words: eachRow((d) => new Uint32Array(all.buffer, 0, d * vocab + tokenCount)),
      candidates: eachRow((d) => ({ ids, logits: all.subarray(d * vocab, d * vocab + tokenCount) })),
    },
  };
}

function eachRow<T>(make: (d: number) => T): T[] {
  return Array.from({ length: MOST_DRAWN }, (_, d) => make(d));
}
