import { columnSquares } from "../kernels/column_squares.ts";
import type { Gpu } from "../kernels/device.ts";
import type { Dispatch } from "../kernels/kernel.ts";
import type { Matrix } from "../kernels/matrix.ts";
import type { Kernels } from "./kernels.ts";
import { allLogits, forward } from "./llama.ts";
import type { State } from "./state.ts";
import { stacks, type Weights } from "./weights.ts";

/**
 * By tensor name, the mean square of each column of what the matrix is multiplied with, over the tokens of a
 * calibration text: how much an error in that column's weights changes the output. For packRows().
 */
export type Importance = ReadonlyMap<string, Float32Array>;

/** A forward pass that also sums, for every matrix, the squares of its input's columns. */
export interface CalibrationPass {
  readonly dispatches: readonly Dispatch[];
  /** By tensor name: the sums so far, float32 [columns]. Tensors that share an input share a buffer. */
  readonly sums: ReadonlyMap<string, GPUBuffer>;
}

/** Records the layers' pass with a summing dispatch before each product; of the head, only its input is made. */
export async function recordCalibration(
  gpu: Gpu,
  kernels: Kernels,
  weights: Weights,
  state: State,
): Promise<CalibrationPass> {
  const inputs = namesByMatrix(weights);
  const kernelOf = new Map<number, Awaited<ReturnType<typeof columnSquares>>>();
  for (const { columns } of inputs.keys()) kernelOf.set(columns, await columnSquares(gpu, columns));
  const sums = new Map<Matrix, GPUBuffer>();
  const sumInput = (matrix: Matrix, x: GPUBuffer): Dispatch => {
    const buffer = gpu.buffer(`column squares of ${matrix.label}`, 4 * matrix.columns);
    sums.set(matrix, buffer);
    return kernelOf.get(matrix.columns)!({ x, sums: buffer, step: state.step });
  };
  const observed: Kernels = {
    ...kernels,
    linear: (matrix, buffers) => [
      sumInput(matrix, buffers.x),
      ...(matrix === weights.head ? [] : kernels.linear(matrix, buffers)),
    ],
  };
  const dispatches = [
    ...forward(observed, weights, state),
    ...allLogits(observed, weights, state, state.logits),
  ];
  return {
    dispatches,
    sums: new Map([...inputs].flatMap(([matrix, names]) => names.map((name) => [name, sums.get(matrix)!]))),
  };
}

/** The tensors that each matrix is stacked from; of an embedding only where it is the head too. */
function namesByMatrix(weights: Weights): Map<Matrix, readonly string[]> {
  const names = new Map<Matrix, readonly string[]>();
  for (const stack of stacks(weights)) {
    if (!("matrix" in stack)) continue;
    if (stack.matrix !== weights.embed || weights.head === weights.embed)
      names.set(stack.matrix, stack.names);
  }
  return names;
}
