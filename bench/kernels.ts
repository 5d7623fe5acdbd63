import { argmax } from "../src/kernels/argmax.ts";
import { attention } from "../src/kernels/attention.ts";
import type { Gpu } from "../src/kernels/device.ts";
import { embed } from "../src/kernels/embed.ts";
import type { Dispatch } from "../src/kernels/kernel.ts";
import { matmul, matvec } from "../src/kernels/linear.ts";
import { type Matrix, type StoredFormat, storedBytes } from "../src/kernels/matrix.ts";
import { rmsNorm } from "../src/kernels/rmsnorm.ts";
import { rope } from "../src/kernels/rope.ts";
import { swiglu } from "../src/kernels/swiglu.ts";
import { topK } from "../src/kernels/top_k.ts";
import type { Config } from "../src/model/config.ts";
import { randomBuffer, randomMatrix } from "./random.ts";

/** One kernel at one shape: what to run, and what it must at least move and compute. */
export interface Subject {
  readonly name: string;
  readonly dispatches: readonly Dispatch[];
  readonly bytes: number;
  readonly flops: number;
}

/** Every kernel of a pass at the widths of a config: decode at a full context, prefill of `tokens` tokens. */
export async function* kernelSubjects(
  gpu: Gpu,
  config: Config,
  format: StoredFormat,
  tokens: number,
): AsyncGenerator<Subject> {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, head_dim: headDim } = config;
  const {
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    max_position_embeddings: context,
  } = config;
  const step = gpu.buffer("step", 16, GPUBufferUsage.UNIFORM);
  const setStep = (position: number, count: number) =>
    gpu.device.queue.writeBuffer(step, 0, new Uint32Array([position, count, 0, 0]));
  const buffer = (count: number) => randomBuffer(gpu, "bench", count);
  const matrices: [string, number, number][] = [
    ["qkv", (heads + 2 * kvHeads) * headDim, dim],
    ["out", dim, heads * headDim],
    ["gate and up", 2 * hidden, dim],
    ["down", dim, hidden],
    ["lm_head", vocab, dim],
  ];
  for (const [label, rows, columns] of matrices) {
    const matrix = randomMatrix(gpu, label, format, rows, columns);
    const bytes = matrixBytes(matrix);
    setStep(0, 1);
    const one = { x: buffer(columns), y: buffer(rows), step };
    yield {
      name: `matvec ${format} ${label}`,
      dispatches: (await matvec(gpu, matrix))(one),
      bytes,
      flops: 2 * rows * columns,
    };
    if (label !== "lm_head") {
      setStep(0, tokens);
      const many = { x: buffer(tokens * columns), y: buffer(tokens * rows), step };
      const dispatches = (await matmul(gpu, matrix, tokens))(many);
      const moved = bytes + 4 * tokens * (rows + columns);
      yield {
        name: `matmul ${format} ${label} x ${tokens}`,
        dispatches,
        bytes: moved,
        flops: 2 * rows * columns * tokens,
      };
      many.x.destroy();
      many.y.destroy();
    } else {
      setStep(0, tokens);
      const ids = Uint32Array.from({ length: tokens }, (_, i) => (i * 9973) % rows);
      const buffers = { tokens: gpu.buffer("tokens", 4 * tokens), y: buffer(tokens * columns), step };
      gpu.device.queue.writeBuffer(buffers.tokens, 0, ids);
      const dispatches = (await embed(gpu, matrix, tokens))(buffers);
      yield {
        name: `embed ${format} x ${tokens}`,
        dispatches,
        bytes: tokens * (bytes / rows + 4 * columns),
        flops: 0,
      };
    }
    for (const { weight, scales } of matrix.slabs) {
      weight.destroy();
      scales?.destroy();
    }
  }

  setStep(0, tokens);
  const [x, weight, y] = [buffer(tokens * dim), buffer(dim), buffer(tokens * dim)];
  const norm = await rmsNorm(gpu, dim, 1e-6);
  const normBytes = 8 * tokens * dim;
  yield {
    name: `rmsnorm x ${tokens}`,
    dispatches: [norm({ x, weight, y, step }, [tokens])],
    bytes: normBytes,
    flops: 4 * tokens * dim,
  };
  const gate = await swiglu(gpu, hidden, tokens);
  const gated = gate({ gateUp: buffer(tokens * 2 * hidden), y: buffer(tokens * hidden), step });
  yield {
    name: `swiglu x ${tokens}`,
    dispatches: [gated],
    bytes: 12 * tokens * hidden,
    flops: 5 * tokens * hidden,
  };

  const cacheCount = kvHeads * context * headDim;
  const cache = { keys: gpu.buffer("keys", 2 * cacheCount), values: gpu.buffer("values", 2 * cacheCount) };
  const shape = { heads, kvHeads, headDim, context, cache: "f16" as const };
  for (const count of [1, tokens]) {
    setStep(context - count, count);
    const buffers = {
      qkv: buffer(count * (heads + 2 * kvHeads) * headDim),
      y: buffer(count * heads * headDim),
      step,
    };
    const turned = { ...buffers, ...cache, table: buffer(context * headDim) };
    const width = (heads + 2 * kvHeads) * headDim;
    yield {
      name: `rope x ${count}`,
      dispatches: [(await rope(gpu, shape, count))(turned)],
      // q is read and written as f32, k and v are read as f32 and written as f16.
      bytes: count * (8 * heads * headDim + 2 * 6 * kvHeads * headDim + 4 * headDim),
      flops: 3 * count * (width - kvHeads * headDim),
    };
    const name = `attention ${count === 1 ? "decode" : `prefill x ${count}`} at ${context}`;
    const dispatches = [(await attention(gpu, shape, count))({ ...buffers, ...cache })];
    yield { name, dispatches, bytes: 4 * cacheCount, flops: 4 * heads * headDim * context * count };
  }
  const selection = { logits: buffer(vocab), best: gpu.buffer("best", 512) };
  const top = await topK(gpu, { vocab, limit: vocab });
  const best = await argmax(gpu, { vocab, limit: vocab });
  yield { name: "argmax", dispatches: [best(selection)], bytes: 4 * vocab, flops: 0 };
  yield { name: "top_k", dispatches: [top(selection)], bytes: 4 * vocab, flops: 0 };
}

function matrixBytes({ format, rows, columns }: Matrix): number {
  const { weight, scales } = storedBytes(format, rows, columns);
  return weight + scales;
}
