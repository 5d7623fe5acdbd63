import {
  type Checkpoint,
  describeTensor,
  expectTensor,
  RECOMPUTED,
  type TensorInfo,
} from "../checkpoint/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import type { Config } from "./config.ts";
import { tensorShapes } from "./weights.ts";

const [EMBEDDING, HEAD] = ["model.embed_tokens.weight", "lm_head.weight"];
/** Weights that are compared at a time: 8 MiB of each as float32. */
const COMPARED_WEIGHTS = 2 << 20;

/**
 * The tensors of a checkpoint that a model of this config is made of, in the order of loading. Those that transformers
 * computes anew are passed over.
 * @throws CheckpointError when one is missing or of another shape; for one that the model has no place for, without which
 * it would not be the model that was meant; and for a head beside embeddings that are to be the head.
 */
export async function expectTensors(checkpoint: Checkpoint, config: Config): Promise<TensorInfo[]> {
  const shapes = tensorShapes(config);
  const tensors = Array.from(shapes, ([name, shape]) => expectTensor(checkpoint, name, shape));
  const others = [...checkpoint.tensors.keys()].filter((name) => !shapes.has(name) && !RECOMPUTED.test(name));
  const strangers = others.filter((name) => name !== HEAD);
  if (strangers.length > 0) {
    const more = strangers.length === 1 ? "" : ` and ${strangers.length - 1} more`;
    throw new CheckpointError(
      `The model of this config.json has no place for ${describeTensor(checkpoint, strangers[0]!)}${more}: it is another ` +
        `architecture or an adapter that was not merged, and what that tensor does would be lost.`,
    );
  }
  if (others.length > 0) await expectTied(checkpoint, config);
  return tensors;
}

/** @throws CheckpointError unless the head that a checkpoint carries is its embeddings, which are used for it. */
async function expectTied(
  checkpoint: Checkpoint,
  { vocab_size: rows, hidden_size: columns }: Config,
): Promise<void> {
  expectTensor(checkpoint, HEAD, [rows, columns]);
  const block = Math.ceil(COMPARED_WEIGHTS / columns);
  for (let first = 0; first < rows; first += block) {
    const count = Math.min(block, rows - first);
    const [embedding, head] = await Promise.all(
      [EMBEDDING, HEAD].map((name) => readStored(checkpoint, name, first, count)),
    );
    if (embedding!.every((part, i) => part.every((weight, at) => weight === head![i]![at]))) continue;
    throw new CheckpointError(
      `config.json has tie_word_embeddings true, which takes ${EMBEDDING} for the head, and ` +
        `${describeTensor(checkpoint, HEAD)} differs from it in rows ${first} to ${first + count - 1}: if the model has a ` +
        `head of its own, set tie_word_embeddings to false.`,
    );
  }
}

/** Rows as they are stored: of packed ones, the exact weights are not there. */
async function readStored(
  { packed, readRows }: Checkpoint,
  name: string,
  first: number,
  count: number,
): Promise<(Float32Array | Uint32Array)[]> {
  if (!packed) return [await readRows(name, first, count)];
  const { words, scales } = await packed.readRows(name, first, count);
  return [words, scales];
}
