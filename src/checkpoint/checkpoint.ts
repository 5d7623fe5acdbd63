import { CheckpointError } from "../errors.ts";
import type { WeightFormat } from "../stored.ts";

/** Element types a checkpoint may hold, as safetensors spells them. */
export type Dtype = "F32" | "F16" | "BF16";

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype | WeightFormat;
  /** Row-major; the last dimension is contiguous. */
  readonly shape: readonly number[];
}

/** A checkpoint's tensors by name, read a few rows at a time. */
export interface Checkpoint {
  /** For messages. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** For messages: the file of a tensor, where that is not the checkpoint's own name. */
  readonly fileOf?: (tensor: string) => string;
  /**
   * Rows [first, first + count) of a tensor of shape [N, K] as float32 [count, K]; a vector [N] is N rows of one.
   * F16 and BF16 widen exactly. The array is the caller's own. A matrix that is packed is read by `packed` instead.
   */
  readRows(name: string, first: number, count: number): Promise<Float32Array>;
  /** The same rows as halves, where halves are stored as they are wanted; otherwise undefined. */
  readHalves?(name: string, first: number, count: number): Promise<Uint16Array | undefined>;
  /** Of a checkpoint whose matrices are packed for the GPU, all in one format. */
  readonly packed?: PackedMatrices;
}

interface PackedMatrices {
  readonly format: WeightFormat;
  /** Rows [first, first + count) as packRows() would give them: see `PackedRows`. */
  readRows(name: string, first: number, count: number): Promise<PackedSlice>;
}

interface PackedSlice {
  readonly words: Uint32Array;
  readonly scales: Uint32Array;
}

/** Buffers of the rotary embedding, which old releases carry and every reader computes anew. */
export const RECOMPUTED = /(^|\.)rotary_emb\.(inv_freq|cos_cached|sin_cached)$/;

/** For messages. */
export function describeTensor(checkpoint: Checkpoint, name: string): string {
  return `${name} in ${checkpoint.fileOf?.(name) ?? checkpoint.name}`;
}

/**
 * The tensor `name`, which the config says has `shape`.
 * @throws CheckpointError when it is missing or has another shape.
 */
export function expectTensor(checkpoint: Checkpoint, name: string, shape: readonly number[]): TensorInfo {
  const tensor = findTensor(checkpoint, name);
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw new CheckpointError(
      `${checkpoint.fileOf?.(name) ?? checkpoint.name} holds ${name} with the shape [${tensor.shape}]; config.json calls for [${shape}]. ` +
        `Weights and config are not of the same model.`,
    );
  }
  return tensor;
}

/** @throws CheckpointError when there is no tensor of that name. */
export function findTensor(checkpoint: Checkpoint, name: string): TensorInfo {
  const tensor = checkpoint.tensors.get(name);
  if (tensor) return tensor;
  const [first] = checkpoint.tensors.keys();
  throw new CheckpointError(
    `${checkpoint.name} has no tensor ${name}. It holds ${checkpoint.tensors.size} tensors` +
      (first === undefined ? "." : `, the first of them ${first}.`),
  );
}

/**
 * The weights of a vector, of which nothing else looks at each: packing does that for matrices.
 * @param name as describeTensor() gives it
 * @throws CheckpointError at the first that is not finite.
 */
export function expectFinite(name: string, weights: Float32Array): void {
  const row = weights.findIndex((weight) => !Number.isFinite(weight));
  if (row < 0) return;
  throw new CheckpointError(
    `${name}: The weight at row ${row} is ${weights[row]}: a checkpoint with weights that are not finite cannot be used, ` +
      `so fetch or convert it again.`,
  );
}

/** How rows lie in a tensor: a vector [N] is N rows of one, a scalar one row of one, [N, ...] N rows of the rest. */
export function rowsOf(shape: readonly number[]): { rows: number; columns: number } {
  const [rows = 1, ...rest] = shape;
  return { rows, columns: rest.reduce((product, size) => product * size, 1) };
}

/** @throws CheckpointError when rows [first, first + count) are not all in the tensor. */
export function checkRows(tensor: TensorInfo, first: number, count: number): void {
  const { rows } = rowsOf(tensor.shape);
  const whole = Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 0 && count >= 0;
  if (!whole || first + count > rows) {
    throw new CheckpointError(`Wanted ${count} rows from row ${first} of ${tensor.name}, which has ${rows}.`);
  }
}
