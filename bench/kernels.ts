import type { Gpu } from "../src/gpu/device.ts";
import type { Dispatch } from "../src/gpu/kernel.ts";
import { allocateMatrix, destroyMatrix, slabBuffers, slabShape } from "../src/kernels/matrix.ts";
import { OPERATIONS } from "../src/kernels/operations.ts";
import { type Buffers, type Operation, prepare, waysFor } from "../src/kernels/way.ts";
import type { Config } from "../src/model/config.ts";
import { Rows } from "../src/model/rows.ts";
import { KvCache } from "../src/model/sequence.ts";
import { attentionShape, cacheBytes } from "../src/model/state.ts";
import { storedBytes, type WeightFormat } from "../src/stored.ts";
import { fillMatrix, randomBuffer } from "./random.ts";

/** One kernel at one shape: what to run, and what it must at least move and compute. */
export interface Subject {
  readonly name: string;
  readonly dispatches: readonly Dispatch[];
  readonly bytes: number;
  readonly flops: number;
}

/** What a kernel at a shape must at least move and compute. */
type Cost = Pick<Subject, "bytes" | "flops">;

/** Every way that the GPU allows of every operation, at the widths of a config: one row, and `tokens` rows, at a full context. */
export async function* kernelSubjects(
  gpu: Gpu,
  config: Config,
  format: WeightFormat,
  tokens: number,
): AsyncGenerator<Subject> {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab } = config;
  const attention = attentionShape(config, config.max_position_embeddings, "f16");
  const { heads, kvHeads, headDim, context } = attention;
  const buffer = (count: number) => randomBuffer(gpu, "bench", count);
  const pass = passes(gpu, config, tokens);
  async function* subjects<Shape, Binding extends string>(
    name: string,
    operation: Operation<Shape, Binding>,
    shape: Shape,
    buffers: Buffers<Binding>,
    cost: Cost,
  ): AsyncGenerator<Subject> {
    for (const way of waysFor(gpu, operation, shape)) {
      const dispatch = (await prepare(gpu, operation, shape, way.name))(buffers);
      yield { name: `${name}, ${way.name}`, dispatches: [dispatch], ...cost };
    }
  }

  const matrices: [label: string, rows: number, columns: number][] = [
    ["qkv", (heads + 2 * kvHeads) * headDim, dim],
    ["out", dim, heads * headDim],
    ["gate and up", 2 * hidden, dim],
    ["down", dim, hidden],
    ["lm_head", vocab, dim],
  ];
  for (const [label, outputs, columns] of matrices) {
    // One slab stands for the matrix: the others are dispatches of the same kernel.
    const matrix = allocateMatrix(gpu, label, format, outputs, columns);
    fillMatrix(gpu, matrix);
    const slab = matrix.slabs[0]!;
    const { words, scales } = storedBytes(format, slab.rows, columns);
    const bytes = words + scales;
    const stored = slabBuffers(slab) as Buffers<"weight" | "scales">;
    for (const count of label === "lm_head" ? [1] : [1, tokens]) {
      const shape = { ...slabShape(matrix, slab), outputs, tokens: count, accumulate: false };
      const buffers = {
        ...stored,
        x: buffer(count * columns),
        y: buffer(count * outputs),
        rows: pass(0, count),
      };
      const moved = bytes + 4 * count * (columns + slab.rows);
      const cost = { bytes: count === 1 ? bytes : moved, flops: 2 * slab.rows * columns * count };
      yield* subjects(`linear ${format} ${label} x ${count}`, OPERATIONS.linear, shape, buffers, cost);
      buffers.x.destroy();
      buffers.y.destroy();
    }
    if (label === "lm_head") {
      const shape = { ...slabShape(matrix, slab), tokens };
      const buffers = { ...stored, y: buffer(tokens * columns), rows: pass(0, tokens) };
      const cost = { bytes: tokens * (bytes / slab.rows + 4 * columns), flops: 0 };
      yield* subjects(`embed ${format} x ${tokens}`, OPERATIONS.embed, shape, buffers, cost);
    }
    destroyMatrix(matrix);
  }

  const rows = pass(0, tokens);
  yield* subjects(
    `rmsnorm x ${tokens}`,
    OPERATIONS.rmsnorm,
    { dim, eps: 1e-6, tokens },
    { x: buffer(tokens * dim), weight: buffer(dim), y: buffer(tokens * dim), rows },
    { bytes: 8 * tokens * dim, flops: 4 * tokens * dim },
  );
  yield* subjects(
    `swiglu x ${tokens}`,
    OPERATIONS.swiglu,
    { hidden, tokens },
    { gateUp: buffer(tokens * 2 * hidden), y: buffer(tokens * hidden), rows },
    { bytes: 12 * tokens * hidden, flops: 5 * tokens * hidden },
  );
  yield* subjects(
    "pick",
    OPERATIONS.pick,
    { dim },
    { x: buffer(tokens * dim), y: buffer(dim), rows },
    { bytes: 8 * dim, flops: 0 },
  );

  const cached = {
    keys: gpu.buffer("keys", cacheBytes(attention)),
    values: gpu.buffer("values", cacheBytes(attention)),
  };
  const pages = gpu.buffer("pages", 4 * attention.pages);
  gpu.device.queue.writeBuffer(
    pages,
    0,
    Uint32Array.from({ length: attention.pages }, (_, i) => i),
  );
  const width = (heads + 2 * kvHeads) * headDim;
  for (const count of [1, tokens]) {
    const shape = { ...attention, tokens: count };
    const shared = { qkv: buffer(count * width), ...cached, pages, rows: pass(context - count, count) };
    yield* subjects(
      `rope x ${count}`,
      OPERATIONS.rope,
      shape,
      { ...shared, table: buffer(context * headDim) },
      // q is read and written as f32, k and v are read as f32 and written as f16.
      {
        bytes: count * (8 * heads * headDim + 2 * 6 * kvHeads * headDim + 4 * headDim),
        flops: 3 * count * (width - kvHeads * headDim),
      },
    );
    yield* subjects(
      `attention x ${count} at ${context}`,
      OPERATIONS.attention,
      shape,
      { ...shared, y: buffer(count * heads * headDim) },
      { bytes: 4 * kvHeads * context * headDim, flops: 4 * heads * headDim * context * count },
    );
  }
  const selection = { logits: buffer(vocab), best: gpu.buffer("best", 512) };
  for (const name of ["argmax", "topk"] as const) {
    yield* subjects(name, OPERATIONS[name], { vocab, limit: vocab }, selection, {
      bytes: 4 * vocab,
      flops: 0,
    });
  }
}

/** Makes the rows of passes, of different tokens of one sequence. */
function passes(gpu: Gpu, { vocab_size: vocab, max_position_embeddings: context }: Config, tokens: number) {
  const ids = Array.from({ length: context }, (_, i) => (i * 9973) % vocab);
  return (position: number, count: number): GPUBuffer => {
    const rows = new Rows(gpu, tokens);
    const sequence = new KvCache({ context, page: context, pages: 1 }, () => {}).open();
    sequence.reserve(position + count);
    sequence.append(ids, 0, position);
    rows.add(sequence, ids, position, count);
    rows.write(gpu.device.queue);
    return rows.buffer;
  };
}
