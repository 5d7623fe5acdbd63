import { ConfigError } from "../errors.ts";
import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";

/** Which logits a selection kernel looks at. */
export interface SelectionShape {
  /** Logits there are. */
  readonly vocab: number;
  /** Ids at and above it are masked: the tokenizer's length. */
  readonly limit: number;
}

export interface SelectionBuffers {
  /** [vocab] f32 */
  readonly logits: GPUBuffer;
  /** u32: ids, then as many logits as the bits of f32 */
  readonly best: GPUBuffer;
}

const LANES = 256;

/** f32 carries ids exactly up to here, and the reductions are of f32. */
const MOST_IDS = 2 ** 24;

/**
 * best [2] = the id of the largest logit among ids below the limit, and that logit; of equal logits the lowest id. If
 * any of them is NaN: the lowest id of a NaN, and NaN.
 */
export async function argmax(gpu: Gpu, shape: SelectionShape) {
  checkSelection(shape);
  const reduce = gpu.rung === "core" ? "reduce_workgroup" : "reduce_subgroup";
  const kernel = await compile(gpu, {
    label: "argmax",
    files: [reduce, "argmax"],
    bindings: ["logits", "best"],
    constants: { LIMIT: shape.limit, WORKGROUP: LANES },
  });
  return (buffers: SelectionBuffers): Dispatch => kernel({ ...buffers }, [1]);
}

/** @throws ConfigError when the limit leaves no id to choose, or is above the vocabulary. */
export function checkSelection({ vocab, limit }: SelectionShape): void {
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= vocab && limit <= MOST_IDS)) {
    throw new ConfigError(
      `A token is chosen among 1 to ${Math.min(vocab, MOST_IDS)} ids here; the tokenizer has ${limit}.`,
    );
  }
}
