import type { AttentionPass } from "./attention.ts";
import { isMixed, shapeConstants } from "./cache.ts";
import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

/** Four pairs of one head a lane. */
const LANES = elementwise(8);

/** Lanes of a workgroup that has one head of one row, four values a lane: 128 values at most. */
const HEAD_LANES = 32;

/**
 * Rotates q and k of every row by its position and appends k and v to the cache; q too is mixed where the cache is. Bindings: qkv [T, (heads + 2 kvHeads)
 * headDim] f32, of which q is rotated in place; table, what ropeTable() makes; keys and values [kvHeads, page · pages,
 * headDim] in the cache's format; rows; pages.
 */
export const ROPE: Operation<AttentionPass, "qkv" | "table" | "keys" | "values" | "rows" | "pages"> = {
  name: "rope",
  bindings: () => ["qkv", "table", "keys", "values", "rows", "pages"],
  ways: [
    {
      name: "pairs",
      needs: [],
      fits: ({ cache }) => !isMixed(cache),
      files: ({ cache }) => ["heads", "rows", "pages", `cache_${cache}`, "rope"],
      constants: (shape) => ({ ...shapeConstants(shape), ...LANES.constants }),
      grid: ({ heads, kvHeads, headDim, tokens }) => LANES.grid((heads + 2 * kvHeads) * headDim, tokens),
    },
    {
      name: "mixed",
      needs: [],
      fits: ({ cache }) => isMixed(cache),
      files: ({ cache }) => [
        "heads",
        "rows",
        "pages",
        "hadamard",
        `codes_${cache}`,
        "round_group",
        "rope_mixed",
      ],
      constants: (shape) => ({ ...shapeConstants(shape), HADAMARD_LANES: HEAD_LANES }),
      grid: ({ heads, kvHeads, tokens }) => [heads + 2 * kvHeads, tokens],
    },
  ],
};

/**
 * cos and sin of the angle of every position and pair, [context, headDim / 2, 2] f32:
 * angle(p, i) = (p / factor) · theta^(-2i / headDim). HF's LlamaRotaryEmbedding computes inverse frequencies and
 * angles in f32, and the model was trained with that rounding: every step here is rounded as there.
 * @param factor of `rope_scaling` of type linear; 1 without scaling
 * @param first The position that the table begins with.
 */
export function ropeTable(
  headDim: number,
  context: number,
  theta: number,
  factor = 1,
  first = 0,
): Float32Array {
  const { fround } = Math;
  const pairs = headDim / 2;
  const frequencies = Float32Array.from(
    { length: pairs },
    (_, i) => 1 / fround(theta ** fround((2 * i) / headDim)),
  );
  const table = new Float32Array(context * headDim);
  for (let p = 0; p < context; p++) {
    const position = fround((first + p) / factor);
    for (let i = 0; i < pairs; i++) {
      const angle = fround(position * frequencies[i]!);
      table[2 * (p * pairs + i)] = Math.cos(angle);
      table[2 * (p * pairs + i) + 1] = Math.sin(angle);
    }
  }
  return table;
}
