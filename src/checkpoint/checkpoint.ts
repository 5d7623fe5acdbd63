/** Element types a checkpoint may hold, as safetensors spells them. */
export type Dtype = "F32" | "F16" | "BF16";

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  /** Row-major; the last dimension is contiguous. */
  readonly shape: readonly number[];
}

/** A checkpoint's tensors by name, read a few rows at a time. */
export interface Checkpoint {
  /** For messages. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Rows [first, first + count) of a tensor of shape [N, K] as float32 [count, K]; a vector [N] is N rows of one.
   * F16 and BF16 widen exactly.
   */
  readRows(name: string, first: number, count: number): Promise<Float32Array>;
}
