import { type AttentionShape, shapeConstants } from "./cache.ts";
import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";

export interface RopeBuffers {
  /** [T, (heads + 2 · kvHeads) · headDim] f32: q, k, v. q is rotated in place. */
  readonly qkv: GPUBuffer;
  /** What `ropeTable` makes. */
  readonly table: GPUBuffer;
  /** [kvHeads, context, headDim] in the cache's format; takes the rotated k. */
  readonly keys: GPUBuffer;
  /** [kvHeads, context, headDim] in the cache's format; takes v. */
  readonly values: GPUBuffer;
  readonly step: GPUBuffer;
}

/** Values of q, k and v that one workgroup of rope.wgsl takes. */
const VALUES_PER_WORKGROUP = 512;

/** Rotates q and k of `tokens` rows by their positions and appends k and v to the cache. */
export async function rope(gpu: Gpu, shape: AttentionShape, tokens: number) {
  const kernel = await compile(gpu, {
    label: "rope",
    files: ["step", `cache_${shape.cache}`, "rope"],
    bindings: ["qkv", "table", "keys", "values", "step"],
    constants: shapeConstants(shape),
  });
  const width = (shape.heads + 2 * shape.kvHeads) * shape.headDim;
  return (buffers: RopeBuffers): Dispatch =>
    kernel({ ...buffers }, [Math.ceil(width / VALUES_PER_WORKGROUP), tokens]);
}

/**
 * cos and sin of the angle of every position and pair, [context, headDim / 2, 2] f32:
 * angle(p, i) = (p / factor) · theta^(-2i / headDim). HF's LlamaRotaryEmbedding computes inverse frequencies and
 * angles in f32, and the model was trained with that rounding: every step here is rounded as there.
 * @param factor of `rope_scaling` of type linear; 1 without scaling
 */
export function ropeTable(headDim: number, context: number, theta: number, factor = 1): Float32Array {
  const { fround } = Math;
  const pairs = headDim / 2;
  const frequencies = Float32Array.from(
    { length: pairs },
    (_, i) => 1 / fround(theta ** fround((2 * i) / headDim)),
  );
  const table = new Float32Array(context * headDim);
  for (let p = 0; p < context; p++) {
    const position = fround(p / factor);
    for (let i = 0; i < pairs; i++) {
      const angle = fround(position * frequencies[i]!);
      table[2 * (p * pairs + i)] = Math.cos(angle);
      table[2 * (p * pairs + i) + 1] = Math.sin(angle);
    }
  }
  return table;
}
