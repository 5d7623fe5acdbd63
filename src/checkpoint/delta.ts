import { CheckpointError } from "../errors.ts";
import { addHalves, narrowToHalves, widenHalves } from "../f16.ts";
import { show } from "../show.ts";
import {
  type Checkpoint,
  checkRows,
  describeTensor,
  expectFinite,
  findTensor,
  RECOMPUTED,
  rowsOf,
  type TensorInfo,
} from "./checkpoint.ts";

/** Tensors that the makers' apply_delta.py takes whole from the delta: its vocabulary is larger than the base's. */
export const WHOLE: ReadonlySet<string> = new Set(["model.embed_tokens.weight", "lm_head.weight"]);

const FINAL_NORM = "model.norm.weight";
/** LLaMA's final norm lies between 1 and 3, and what training adds to it is a few hundredths. */
const DELTA_NORM = 0.1;
/** Widest rows that are looked at before a config says how wide they are: those of LLaMAs have up to 16,384 weights. */
const MOST_WIDTH = 1 << 16;

const EMBEDDING = "model.embed_tokens.weight";
/** Tokens whose embeddings are compared: LLaMA's commonest, right after the bytes. */
const [FIRST_COMPARED, COMPARED] = [259, 64];
/**
 * Mean cosine below which embeddings are not of one family. Training on from a base leaves it near 1; vectors of
 * 5120 unrelated numbers have 0.00 ± 0.02.
 */
const RELATED_COSINE = 0.1;

/** What tells LLaMA-2, whose tensors have the same names and shapes, from LLaMA-1; the keys of `config.json`. */
interface BaseConfig {
  readonly max_position_embeddings?: unknown;
  readonly rms_norm_eps?: unknown;
  readonly rope_scaling?: unknown;
}

/**
 * Whether the tensors are differences to a base and not weights, told by the final norm: about zero instead of one.
 * A checkpoint without such a norm is none.
 * @throws CheckpointError when that norm is no vector, or one of its weights is not finite: its mean would be neither.
 */
export async function looksLikeDelta(checkpoint: Checkpoint): Promise<boolean> {
  const norm = checkpoint.tensors.get(FINAL_NORM);
  if (!norm) return false;
  const [width, ...more] = norm.shape;
  if (width === undefined || width > MOST_WIDTH || more.length > 0) {
    throw new CheckpointError(
      `${checkpoint.name} holds ${FINAL_NORM} with the shape [${norm.shape}]; wanted a vector of at most ${MOST_WIDTH}.`,
    );
  }
  const weights = await checkpoint.readRows(FINAL_NORM, 0, width);
  expectFinite(describeTensor(checkpoint, FINAL_NORM), weights);
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  return Math.abs(mean) < DELTA_NORM;
}

/** @throws CheckpointError when a checkpoint that is to be run as it stands is a delta. */
export async function refuseUnmergedDelta(checkpoint: Checkpoint): Promise<void> {
  if (!(await looksLikeDelta(checkpoint))) return;
  throw new CheckpointError(
    `${checkpoint.name} is a delta: the weights of ${FINAL_NORM} are about 0, not 1. It answers with garbage as it is; ` +
      `merge it with its base, the original LLaMA (for Ziya-LLaMA-13B: LLaMA-1 13B in Hugging Face's layout), by ` +
      `ziya convert --base DIR --delta DIR.`,
  );
}

/**
 * Base + delta as the makers' script merges them: both as f16, added with one rounding; embeddings and head whole
 * from the delta; `inv_freq` dropped. Every tensor is F16, and nothing is merged before its rows are read.
 * @param baseConfig the base's `config.json`, where there is one
 * @throws CheckpointError when the two do not belong together: tensors missing or of another shape, another base, the two
 * swapped, or one of them already merged.
 */
export async function mergeDelta(
  base: Checkpoint,
  delta: Checkpoint,
  baseConfig: BaseConfig = {},
): Promise<Checkpoint> {
  const tensors = matchTensors(base, delta);
  await refuseSwapped(base, delta);
  refuseSecondLlama(base, baseConfig);
  await refuseWrongFamily(base, delta);
  const merged: Checkpoint = {
    name: `${base.name} + ${delta.name}`,
    tensors,
    fileOf: (name) => {
      const parts = WHOLE.has(name) ? [delta] : [base, delta];
      return parts.map((part) => part.fileOf?.(name) ?? part.name).join(" + ");
    },
    async readRows(name, first, count) {
      checkRows(findTensor(merged, name), first, count);
      if (WHOLE.has(name)) return widenHalves(await readHalves(delta, name, first, count));
      const [weights, differences] = await Promise.all([
        readHalves(base, name, first, count),
        readHalves(delta, name, first, count),
      ]);
      return addHalves(weights, differences);
    },
  };
  return merged;
}

/** Rows as halves, rounded where they are stored wider. */
async function readHalves(
  checkpoint: Checkpoint,
  name: string,
  first: number,
  count: number,
): Promise<Uint16Array> {
  const halves = await checkpoint.readHalves?.(name, first, count);
  return halves ?? narrowToHalves(await checkpoint.readRows(name, first, count));
}

/** The merged tensors: those of the delta. */
function matchTensors(base: Checkpoint, delta: Checkpoint): Map<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const { name, shape } of delta.tensors.values()) {
    if (RECOMPUTED.test(name)) continue;
    const partner = base.tensors.get(name);
    if (!partner) {
      throw new CheckpointError(
        `The base ${base.name} has no tensor ${name}, which the delta changes: wanted LLaMA-1 of the delta's size in ` +
          `Hugging Face's layout.`,
      );
    }
    // Of the vocabulary only the width must agree: the base's has 32,000 rows.
    const from = WHOLE.has(name) ? 1 : 0;
    if (String(partner.shape.slice(from)) !== String(shape.slice(from))) {
      throw new CheckpointError(
        `${name} is [${partner.shape}] in the base ${base.name} and [${shape}] in the delta: the base is of another ` +
          `size than the delta was made from.`,
      );
    }
    tensors.set(name, { name, dtype: "F16", shape });
  }
  for (const name of base.tensors.keys()) {
    if (RECOMPUTED.test(name) || tensors.has(name)) continue;
    throw new CheckpointError(
      `The delta ${delta.name} has no tensor ${name}, which the base has: the download is incomplete, or the base is ` +
        `of another size.`,
    );
  }
  return tensors;
}

async function refuseSwapped(base: Checkpoint, delta: Checkpoint): Promise<void> {
  const [baseIsDelta, deltaIsDelta] = [await looksLikeDelta(base), await looksLikeDelta(delta)];
  if (baseIsDelta && !deltaIsDelta) {
    throw new CheckpointError(
      `Base and delta are swapped: ${base.name}, given as the base, has a final norm about 0, as deltas have. Give each ` +
        `as the other.`,
    );
  }
  if (baseIsDelta) {
    throw new CheckpointError(
      `${base.name}, given as the base, is itself a delta (its final norm is about 0): wanted the original LLaMA-1.`,
    );
  }
  if (!deltaIsDelta) {
    throw new CheckpointError(
      `${delta.name}, given as the delta, is a whole model (its final norm is not about 0): wanted what Ziya's makers publish; a model ` +
        `that is merged already is used by itself, as --model.`,
    );
  }
}

function refuseSecondLlama(base: Checkpoint, config: BaseConfig): void {
  const { max_position_embeddings: positions, rms_norm_eps: epsilon, rope_scaling: scaling } = config;
  const longer = positions === 4096 && (scaling === undefined || scaling === null);
  if (!longer && epsilon !== 1e-5) return;
  throw new CheckpointError(
    `The base ${base.name} is LLaMA-2 by its config (max_position_embeddings ${show(positions)}, rms_norm_eps ${show(epsilon)}); ` +
      `the delta was made from LLaMA-1 (2048 and 1e-6), and with another base the model answers with garbage.`,
  );
}

/**
 * The delta carries whole embeddings, trained on from those of its own base: where the two do not resemble each other,
 * the base is another model of the same shape, whatever its config says; where they are the same, in as many rows, the
 * base has been merged with the delta before.
 */
async function refuseWrongFamily(base: Checkpoint, delta: Checkpoint): Promise<void> {
  const [ours, theirs] = [base.tensors.get(EMBEDDING), delta.tensors.get(EMBEDDING)];
  if (!ours || !theirs) return;
  const rows = Math.min(ours.shape[0]!, theirs.shape[0]!);
  const count = Math.min(COMPARED, rows);
  const first = Math.min(FIRST_COMPARED, rows - count);
  const { columns } = rowsOf(ours.shape);
  if (columns > MOST_WIDTH) return;
  const [a, b] = await Promise.all([
    base.readRows(EMBEDDING, first, count),
    delta.readRows(EMBEDDING, first, count),
  ]);
  if (ours.shape[0] === theirs.shape[0] && a.every((weight, i) => weight === b[i])) {
    throw new CheckpointError(
      `The base ${base.name} is the merged model already: its embeddings are those of the delta. Use it by itself, as ` +
        `--model, or give the original LLaMA-1 as the base.`,
    );
  }
  let sum = 0;
  for (let row = 0; row < count; row++) {
    const [from, to] = [row * columns, (row + 1) * columns];
    sum += cosine(a.subarray(from, to), b.subarray(from, to));
  }
  const mean = sum / count;
  if (mean >= RELATED_COSINE) return;
  throw new CheckpointError(
    `The base ${base.name} is not the model that the delta was made from: their embeddings of ${count} common tokens have ` +
      `a mean cosine of ${mean.toFixed(3)}, and one trained on from the other has nearly 1. Wanted LLaMA-1 (not LLaMA-2, ` +
      `not a fine-tune with another vocabulary).`,
  );
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    squaresA += a[i]! ** 2;
    squaresB += b[i]! ** 2;
  }
  return squaresA && squaresB ? dot / Math.sqrt(squaresA * squaresB) : Number(squaresA === squaresB);
}
