import { OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { Readback } from "../gpu/readback.ts";
import type { Matrix } from "../kernels/matrix.ts";
import { COLUMN_MOMENTS } from "../kernels/moments.ts";
import { PROJECT, PROJECTIONS, SKETCH } from "../kernels/sketch.ts";
import { prepare } from "../kernels/way.ts";
import { PRINCIPAL, principalDirections } from "./directions.ts";
import type { PassPart } from "./language-model.ts";
import { forward, type KernelSet, record } from "./llama.ts";
import type { Sequence } from "./sequence.ts";
import type { State } from "./state.ts";
import { stacks, type Weights } from "./weights.ts";

/**
 * By tensor name, float32 [2 + PRINCIPAL, columns], of what the matrix is multiplied with over the tokens of a calibration
 * text: the mean square of each column, the mean, and the directions in which it varies most. They tell how much errors in
 * the columns' weights change the output, and which errors make up for others. For packRows(). Tensors that are multiplied
 * with the same share an array.
 */
export type Importance = ReadonlyMap<string, Float32Array>;

/** What is summed over tokens of a matrix's input. */
interface Sums {
  readonly matrix: Matrix;
  /** See COLUMN_MOMENTS: [2, columns]. */
  readonly moments: GPUBuffer;
  /** See SKETCH: [PROJECTIONS, columns]. */
  readonly sketch: GPUBuffer;
}

/** A forward pass that also sums, for every matrix, what its input is like. */
interface CalibrationPass {
  readonly dispatches: readonly Dispatch[];
  readonly sums: readonly Sums[];
  /** Of the rows of one input: [T, PROJECTIONS]. */
  readonly projections: GPUBuffer;
}

/** The operations that only a calibration has. */
const OWN: ReadonlySet<string> = new Set([COLUMN_MOMENTS.name, PROJECT.name, SKETCH.name]);

/** What sums the inputs of matrices of so many columns, in passes of up to so many tokens. */
async function prepareSums(gpu: Gpu, columns: number, tokens: number) {
  const [moments, project, sketch] = await Promise.all([
    prepare(gpu, COLUMN_MOMENTS, { columns }),
    prepare(gpu, PROJECT, { columns, tokens }),
    prepare(gpu, SKETCH, { columns }),
  ]);
  return (sums: Sums, x: GPUBuffer, projections: GPUBuffer, rows: GPUBuffer): Dispatch[] => [
    moments({ x, sums: sums.moments, rows }),
    project({ x, projections, rows }),
    sketch({ x, projections, sketch: sums.sketch, rows }),
  ];
}

/** Records the pass of a set that keeps its tensors as f32, with summing dispatches before each product. */
async function recordCalibration({ gpu, set, weights, state }: Subject): Promise<CalibrationPass> {
  const { buffer: rows, capacity } = state.rows;
  const kernelsOf = new Map<number, Awaited<ReturnType<typeof prepareSums>>>();
  for (const { columns } of namesByMatrix(weights).keys()) {
    if (!kernelsOf.has(columns)) kernelsOf.set(columns, await prepareSums(gpu, columns, capacity));
  }
  return gpu.allOrNone(() => {
    const all: Sums[] = [];
    const projections = gpu.buffer("projections", 4 * PROJECTIONS * capacity);
    const sum = (matrix: Matrix, x: GPUBuffer): Dispatch[] => {
      const buffer = (what: string, rows: number) =>
        gpu.buffer(`${what} of the input of ${matrix.label}`, 4 * rows * matrix.columns);
      const sums = { matrix, moments: buffer("moments", 2), sketch: buffer("sketch", PROJECTIONS) };
      all.push(sums);
      return kernelsOf.get(matrix.columns)!(sums, x, projections, rows);
    };
    const observed: KernelSet<GPUBuffer> = {
      ...set,
      *qkv(h, matrix, layer) {
        yield* sum(matrix, h);
        return yield* set.qkv(h, matrix, layer);
      },
      *addInto(x, y, matrix, norm) {
        yield* sum(matrix, y);
        return yield* set.addInto(x, y, matrix, norm);
      },
      *gate(h, matrix) {
        yield* sum(matrix, h);
        return yield* set.gate(h, matrix);
      },
    };
    const layers = record(forward(observed, weights));
    const dispatches = [...layers.dispatches, ...sum(weights.head, layers.result)];
    return { dispatches, sums: all, projections };
  });
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

function release({ sums, projections }: CalibrationPass): void {
  for (const { moments, sketch } of sums) {
    moments.destroy();
    sketch.destroy();
  }
  projections.destroy();
}

/** A pass whose sums are right, as far as somebody looks. @throws DeviceError where there is none. */
async function soundPass(subject: Subject): Promise<CalibrationPass> {
  const { gpu, holds } = subject;
  for (;;) {
    const pass = await gpu.guarded("Calibrating", () => recordCalibration(subject), release);
    try {
      const own = pass.dispatches.filter(({ made }) => made && OWN.has(made.operation));
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
    return await importanceOf(gpu, pass.sums, namesByMatrix(subject.weights), total);
  } finally {
    release(pass);
  }
}

/** What the sums of a calibration's passes over so many tokens say. */
async function importanceOf(
  gpu: Gpu,
  sums: readonly Sums[],
  names: ReadonlyMap<Matrix, readonly string[]>,
  tokens: number,
): Promise<Importance> {
  const readback = new Readback(gpu);
  const meansOf = async (buffer: GPUBuffer): Promise<Float32Array> => {
    const means = new Float32Array(buffer.size / 4);
    const encoder = gpu.device.createCommandEncoder({ label: "importance" });
    await readback.submitAndRead(encoder, buffer, new Uint32Array(means.buffer));
    return means.map((sum) => sum / tokens);
  };
  const importance = new Map<string, Float32Array>();
  try {
    for (const { matrix, moments, sketch } of sums) {
      const { columns } = matrix;
      const values = new Float32Array((2 + PRINCIPAL) * columns);
      values.set(await meansOf(moments));
      const mean = values.subarray(columns, 2 * columns);
      principalDirections(mean, await meansOf(sketch), values.subarray(2 * columns));
      for (const name of names.get(matrix)!) importance.set(name, values);
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
