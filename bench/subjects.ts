import type { Gpu } from "../src/gpu/device.ts";
import type { Dispatch } from "../src/gpu/kernel.ts";
import { type CacheFormat, cacheBytes } from "../src/kernels/cache.ts";
import { type SlabShape, slabRows, weightBindings } from "../src/kernels/matrix.ts";
import { OPERATIONS } from "../src/kernels/operations.ts";
import { marksLength } from "../src/kernels/penalise.ts";
import { quadsBytes } from "../src/kernels/quads.ts";
import { MOST_DRAWN } from "../src/kernels/rows.ts";
import { canMultiply } from "../src/kernels/vector.ts";
import { type Buffers, type Operation, prepare, waysFor } from "../src/kernels/way.ts";
import type { Config } from "../src/model/config.ts";
import { attentionShape } from "../src/model/state.ts";
import { STORED, storedBytes, type WeightFormat } from "../src/stored.ts";

/** What a buffer of a subject holds. */
export type Content =
  | { readonly floats: number }
  | { readonly zeros: number }
  | { readonly pages: number }
  /** A buffer of the first slab of a matrix: the others are dispatches of the same kernel. */
  | { readonly matrix: MatrixShape; readonly part: "weight" | "scales" }
  /** The rows of a pass of one sequence. */
  | { readonly rows: number; readonly position: number };

export interface MatrixShape {
  readonly label: string;
  readonly format: WeightFormat;
  readonly rows: number;
  readonly columns: number;
}

/** What a kernel at a shape must at least move and compute. */
export interface Cost {
  readonly bytes: number;
  readonly flops: number;
}

/** A binding that a kernel reads once from end to end: what the work of a pass of one row is counted by. */
export interface Stream {
  readonly binding: string;
  readonly values: number;
  /** That a lane loads for one value: of a cache in groups, the group's word with each few of its values. */
  readonly bits: number;
}

/** An operation at a shape, with what its buffers hold: no buffer is made, nothing compiled. */
export interface Subject extends Cost {
  readonly name: string;
  /** Its operation, and how the cache is stored or rows are many where that is not as usual: what a kernel is the first of. */
  readonly operation: string;
  /** Whether it is in another arithmetic than the one that comes first. */
  readonly isOther: boolean;
  /** Rows of the pass. */
  readonly tokens: number;
  /** Names by rising binding number. */
  readonly bindings: readonly string[];
  readonly buffers: Readonly<Record<string, Content>>;
  readonly streams: readonly Stream[];
  /** The names of the ways that a GPU allows, the best first. */
  ways(gpu: Gpu): readonly string[];
  prepare(gpu: Gpu, way: string): Promise<(buffers: Buffers<string>) => Dispatch>;
}

/** An operation at a shape as a subject. */
export function subjectOf<Shape, Binding extends string>(
  name: string,
  operation: Operation<Shape, Binding>,
  shape: Shape,
  buffers: Readonly<Record<Binding, Content>>,
  {
    tokens,
    streams = [],
    cache = "f16",
    kind = operation.name + ofCache(cache),
    isOther = false,
    ...cost
  }: Cost & {
    tokens: number;
    streams?: readonly Stream[];
    cache?: CacheFormat;
    kind?: string;
    isOther?: boolean;
  },
): Subject {
  return {
    name,
    operation: kind,
    isOther,
    tokens,
    ...cost,
    bindings: operation.bindings(shape),
    buffers,
    streams,
    ways: (gpu) => waysFor(gpu, operation, shape).map((way) => way.name),
    prepare: (gpu, way) => prepare(gpu, operation, shape, way),
  };
}

/** What the name of a subject has besides. */
export function ofCache(cache: CacheFormat): string {
  return cache === "f16" ? "" : `, ${cache} cache`;
}

/** The matrices of a config, those of a layer stacked as the model stacks them. */
export function matricesOf(config: Config): [label: string, rows: number, columns: number][] {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, head_dim: headDim } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  return [
    ["qkv", (heads + 2 * kvHeads) * headDim, dim],
    ["out", dim, heads * headDim],
    ["gate and up", 2 * hidden, dim],
    ["down", dim, hidden],
    ["lm_head", vocab, dim],
  ];
}

/** Every operation at the widths of a config: for one row, and for `tokens` rows, at a full context. */
export function listSubjects(
  gpu: Pick<Gpu, "bindingLimit" | "workgroupLimit">,
  config: Config,
  format: WeightFormat,
  tokens: number,
): Subject[] {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab } = config;
  const subjects: Subject[] = [];
  const add = <Shape, Binding extends string>(...of: Parameters<typeof subjectOf<Shape, Binding>>) => {
    subjects.push(subjectOf(...of));
  };

  const pass = (position: number, rows: number): Content => ({ rows, position });
  for (const [label, outputs, columns] of matricesOf(config)) {
    const matrix = { label, format, rows: outputs, columns };
    const rows = Math.min(outputs, slabRows(gpu, format, columns));
    const slab: SlabShape = { format, columns, rows, firstRow: 0 };
    const { words, scales } = storedBytes(format, rows, columns);
    const bytes = words + scales;
    const stored = Object.fromEntries(
      weightBindings(format).map((part) => [part, { matrix, part }]),
    ) as Record<"weight" | "scales", Content>;
    const streams = [{ binding: "weight", values: rows * columns, bits: STORED[format].bits }];
    for (const count of label === "lm_head" ? [1] : [1, tokens]) {
      add(
        `linear ${format} ${label} x ${count}`,
        OPERATIONS.linear,
        { ...slab, outputs, tokens: count, accumulate: false },
        {
          ...stored,
          x: { floats: count * columns },
          y: { floats: count * outputs },
          rows: pass(0, count),
        },
        {
          tokens: count,
          bytes: count === 1 ? bytes : bytes + 4 * count * (columns + rows),
          flops: 2 * rows * columns * count,
          streams,
          kind: count === 1 ? "linear" : "linear of several rows",
        },
      );
    }
    if (label !== "lm_head" && canMultiply(format, "i8")) {
      const quads = { zeros: quadsBytes(tokens, columns) };
      const moved = tokens * columns;
      add(
        `quantise ${label} x ${tokens}`,
        OPERATIONS.quantise,
        { columns, tokens },
        { x: { floats: moved }, quads, rows: pass(0, tokens) },
        { tokens, bytes: 4 * moved + quads.zeros, flops: 3 * moved },
      );
      add(
        `linear of quads ${format} ${label} x ${tokens}`,
        OPERATIONS.linearOfQuads,
        { ...slab, outputs, tokens, accumulate: false },
        { ...stored, input: quads, y: { floats: tokens * outputs }, rows: pass(0, tokens) },
        {
          tokens,
          bytes: bytes + quads.zeros + 4 * tokens * rows,
          flops: 2 * rows * columns * tokens,
          streams,
        },
      );
    }
    if (label === "lm_head") {
      add(
        `embed ${format} x ${tokens}`,
        OPERATIONS.embed,
        { ...slab, tokens },
        { ...stored, y: { floats: tokens * columns }, rows: pass(0, tokens) },
        { tokens, bytes: tokens * (bytes / rows + 4 * columns), flops: 0 },
      );
    }
  }

  const rows = pass(0, tokens);
  add(
    `rmsnorm x ${tokens}`,
    OPERATIONS.rmsnorm,
    { dim, eps: 1e-6, tokens },
    { x: { floats: tokens * dim }, weight: { floats: dim }, y: { floats: tokens * dim }, rows },
    { tokens, bytes: 8 * tokens * dim, flops: 4 * tokens * dim },
  );
  add(
    `swiglu x ${tokens}`,
    OPERATIONS.swiglu,
    { hidden, tokens },
    { gateUp: { floats: tokens * 2 * hidden }, y: { floats: tokens * hidden }, rows },
    { tokens, bytes: 12 * tokens * hidden, flops: 5 * tokens * hidden },
  );
  add(
    "pick",
    OPERATIONS.pick,
    { dim },
    { x: { floats: tokens * dim }, y: { floats: MOST_DRAWN * dim }, rows },
    { tokens: 1, bytes: 8 * dim, flops: 0 },
  );

  for (const cache of ["f16", "q8", "q4"] as const) {
    const attention = attentionShape(config, config.max_position_embeddings, cache);
    const { heads, kvHeads, headDim, context } = attention;
    const bytes = cacheBytes(attention);
    const cached = { keys: { zeros: bytes }, values: { zeros: bytes }, pages: { pages: attention.pages } };
    const width = (heads + 2 * kvHeads) * headDim;
    for (const count of [1, tokens]) {
      const shape = { ...attention, tokens: count };
      const shared = { qkv: { floats: count * width }, ...cached, rows: pass(context - count, count) };
      // Four values at a time, and of a group its word with them.
      const stream = { values: kvHeads * context * headDim, bits: 16 };
      add(
        `rope x ${count}${ofCache(cache)}`,
        OPERATIONS.rope,
        shape,
        { ...shared, table: { floats: context * headDim } },
        // q is read and written as f32, k and v are read as f32 and written as they are stored.
        {
          tokens: count,
          bytes: count * (8 * heads * headDim + 8 * kvHeads * headDim + (2 * bytes) / context + 4 * headDim),
          flops: 3 * count * (width - kvHeads * headDim),
          cache,
        },
      );
      add(
        `attention x ${count} at ${context}${ofCache(cache)}`,
        OPERATIONS.attention,
        shape,
        { ...shared, y: { floats: count * heads * headDim } },
        {
          tokens: count,
          bytes: 2 * bytes,
          flops: 4 * heads * headDim * context * count,
          streams: [
            { binding: "keys", ...stream },
            { binding: "values", ...stream },
          ],
          kind: `attention${count === 1 ? "" : " of several rows"}${ofCache(cache)}`,
        },
      );
      if (cache !== "q8") continue;
      add(
        `mix x ${count}`,
        OPERATIONS.mix,
        { width: heads * headDim, tokens: count },
        { y: { floats: count * heads * headDim }, rows: shared.rows },
        { tokens: count, bytes: 8 * count * heads * headDim, flops: 5 * count * heads * headDim },
      );
    }
  }
  add(
    "penalise",
    OPERATIONS.penalise,
    { vocab, drawn: 1 },
    { logits: { floats: vocab }, marks: { zeros: marksLength(vocab) }, rows: pass(0, 1) },
    { tokens: 1, bytes: 4 * marksLength(vocab), flops: 0 },
  );
  for (const name of ["argmax", "topk"] as const) {
    add(
      name,
      OPERATIONS[name],
      { vocab, limit: vocab, drawn: 1 },
      { logits: { floats: vocab }, best: { zeros: 512 }, rows: pass(0, 1) },
      { tokens: 1, bytes: 4 * vocab, flops: 0 },
    );
  }
  return subjects;
}
