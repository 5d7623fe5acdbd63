import { OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { Readback } from "../gpu/readback.ts";
import type { Matrix } from "../kernels/matrix.ts";
import { COLUMN_MOMENTS } from "../kernels/moments.ts";
import { prepare } from "../kernels/way.ts";
import type { PassPart } from "./language-model.ts";
import { forward, type KernelSet, record } from "./llama.ts";
import type { Sequence } from "./sequence.ts";
import type { State } from "./state.ts";
import { stacks, type Weights } from "./weights.ts";

/**
 * By tensor name, float32 [2, columns]: the mean square of each column of what the matrix is multiplied with, and its
 * mean, over the tokens of a calibration text. They tell how much errors in the columns' weights change the output. For
 * packRows().
 */
export type Importance = ReadonlyMap<string, Float32Array>;

/** A forward pass that also sums, for every matrix, the squares and the values of its input's columns. */
interface CalibrationPass {
  readonly dispatches: readonly Dispatch[];
  /** By tensor name: the sums so far, float32 [2, columns]. Tensors that share an input share a buffer. */
  readonly sums: ReadonlyMap<string, GPUBuffer>;
}

/** Records the pass of a set that keeps its tensors as f32, with a summing dispatch before each product. */
async function recordCalibration(
  gpu: Gpu,
  set: KernelSet<GPUBuffer>,
  weights: Weights,
  rows: GPUBuffer,
): Promise<CalibrationPass> {
  const inputs = namesByMatrix(weights);
  const kernelOf = new Map<
    number,
    (buffers: { x: GPUBuffer; sums: GPUBuffer; rows: GPUBuffer }) => Dispatch
  >();
  for (const { columns } of inputs.keys())
    kernelOf.set(columns, await prepare(gpu, COLUMN_MOMENTS, { columns }));
  const sums = new Map<Matrix, GPUBuffer>();
  const sum = (matrix: Matrix, x: GPUBuffer): Dispatch => {
    const buffer = gpu.buffer(`column moments of ${matrix.label}`, 8 * matrix.columns);
    sums.set(matrix, buffer);
    return kernelOf.get(matrix.columns)!({ x, sums: buffer, rows });
  };
  const observed: KernelSet<GPUBuffer> = {
    ...set,
    *qkv(h, matrix, layer) {
      yield sum(matrix, h);
      return yield* set.qkv(h, matrix, layer);
    },
    *addInto(x, y, matrix, norm) {
      yield sum(matrix, y);
      return yield* set.addInto(x, y, matrix, norm);
    },
    *gate(h, matrix) {
      yield sum(matrix, h);
      return yield* set.gate(h, matrix);
    },
  };
  const { dispatches } = gpu.allOrNone(() => {
    const layers = record(forward(observed, weights));
    return { ...layers, dispatches: [...layers.dispatches, sum(weights.head, layers.result)] };
  });
  return {
    dispatches,
    sums: new Map([...inputs].flatMap(([matrix, names]) => names.map((name) => [name, sums.get(matrix)!]))),
  };
}

/** What a calibration takes of its model. */
interface Subject {
  readonly gpu: Gpu;
  /** The kernels of a pass of many rows. */
  readonly set: KernelSet<GPUBuffer>;
  readonly weights: Weights;
  readonly state: State;
  /** Whether dispatches give right results; where they do not, none is made of their ways again. Default: nobody looks. */
  readonly holds?: ((dispatches: readonly Dispatch[]) => Promise<boolean>) | undefined;
}

/** How a calibration is stopped, and what it tells. */
export interface CalibrationOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the tokens run so far. */
  readonly onProgress?: ((tokens: number) => void) | undefined;
}

interface Running extends CalibrationOptions {
  /** Makes room for the tokens of a window, or refuses them. */
  readonly admit: (sequence: Sequence, window: readonly number[]) => void;
  readonly run: (part: PassPart, dispatches: readonly Dispatch[]) => Promise<void>;
}

function release({ sums }: CalibrationPass): void {
  for (const buffer of sums.values()) buffer.destroy();
}

/** A pass whose sums are right, as far as somebody looks. @throws DeviceError where there is none. */
async function soundPass({ gpu, set, weights, state, holds }: Subject): Promise<CalibrationPass> {
  for (;;) {
    const record = () => recordCalibration(gpu, set, weights, state.rows.buffer);
    const pass = await gpu.guarded("Calibrating", record, release);
    try {
      const own = pass.dispatches.filter(({ made }) => made?.operation === COLUMN_MOMENTS.name);
      if (!holds || (await holds(own))) return pass;
    } catch (error) {
      release(pass);
      throw error;
    }
    release(pass);
  }
}

/** See LlamaModel.calibrate(). */
export async function calibrate(
  subject: Subject,
  windows: Iterable<readonly number[]>,
  { signal, onProgress, admit, run }: Running,
): Promise<Importance> {
  const { gpu, state } = subject;
  const { capacity } = state.rows;
  const pass = await soundPass(subject);
  try {
    let total = 0;
    for (const window of windows) {
      const sequence = state.cache.open();
      try {
        admit(sequence, window);
        for (let at = 0; at < window.length; at += capacity) {
          signal?.throwIfAborted();
          const count = Math.min(capacity, window.length - at);
          await run({ sequence, tokens: window, first: at, count, drawn: 0 }, pass.dispatches);
          total += count;
          onProgress?.(total);
        }
      } finally {
        sequence.discard();
      }
    }
    if (total === 0) throw new OptionError("Calibration needs at least one token: give it a longer text.");
    return await meansOf(gpu, pass.sums, total);
  } finally {
    release(pass);
  }
}

/** The sums of a calibration's passes over so many tokens, as means. */
async function meansOf(gpu: Gpu, sums: ReadonlyMap<string, GPUBuffer>, tokens: number): Promise<Importance> {
  const readback = new Readback(gpu);
  const importance = new Map<string, Float32Array>();
  try {
    for (const [name, buffer] of sums) {
      const means = new Float32Array(buffer.size / 4);
      const encoder = gpu.device.createCommandEncoder({ label: "column moments" });
      await readback.submitAndRead(encoder, buffer, new Uint32Array(means.buffer));
      for (let i = 0; i < means.length; i++) means[i]! /= tokens;
      importance.set(name, means);
    }
  } finally {
    readback.destroy();
  }
  return importance;
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
