import type { Gpu } from "../src/gpu/device.ts";
import { splitBytes } from "../src/kernels/attention-split.ts";
import { cacheBytes } from "../src/kernels/cache.ts";
import { weightBindings } from "../src/kernels/matrix.ts";
import { OPERATIONS } from "../src/kernels/operations.ts";
import { ARITHMETICS, canMultiply, vectorBytes } from "../src/kernels/vector.ts";
import type { Config } from "../src/model/config.ts";
import { fusedSplits } from "../src/model/sets/fused.ts";
import { attentionShape } from "../src/model/state.ts";
import { STORED, storedBytes, type WeightFormat } from "../src/stored.ts";
import { type Content, matricesOf, type Subject, subjectOf } from "./subjects.ts";

/** The kernels of the set `fused` at the widths of a config, in every arithmetic that the format has, at a full context. */
export function listFusedSubjects(
  gpu: Pick<Gpu, "bindingLimit">,
  config: Config,
  format: WeightFormat,
): Subject[] {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, rms_norm_eps: eps } = config;
  const attention = attentionShape(config, config.max_position_embeddings, "f16");
  const { heads, kvHeads, headDim, context, pages } = attention;
  const rows: Content = { rows: 1, position: context - 1 };
  const cache = { keys: { zeros: cacheBytes(attention) }, values: { zeros: cacheBytes(attention) } };
  const q = { floats: heads * headDim };
  const subjects: Subject[] = [];
  for (const arithmetic of ARITHMETICS.filter((name) => canMultiply(format, name))) {
    const vector = (columns: number) => ({ zeros: vectorBytes(arithmetic, columns) });
    const matrices = matricesOf(config).map(([label, outputs, columns]) => {
      const matrix = { label, format, rows: outputs, columns };
      const { words, scales } = storedBytes(format, outputs, columns);
      const stored = Object.fromEntries(
        weightBindings(format).map((part) => [part, { matrix, part }]),
      ) as Record<"weight" | "scales", Content>;
      return {
        name: `${format} x ${arithmetic} ${label}`,
        fits: words <= gpu.bindingLimit,
        shape: { format, columns, rows: outputs, firstRow: 0, arithmetic, eps },
        buffers: { input: vector(columns), ...stored },
        cost: {
          tokens: 1,
          bytes: words + scales,
          flops: 2 * outputs * columns,
          streams: [{ binding: "weight", values: outputs * columns, bits: STORED[format].bits }],
        },
      };
    });
    const [qkv, out, gateUp, down, head] = matrices;
    if (qkv!.fits) {
      const buffers = { ...qkv!.buffers, table: { floats: context * headDim }, rows, ...cache, q };
      subjects.push(subjectOf(qkv!.name, OPERATIONS.qkv, { ...qkv!.shape, attention }, buffers, qkv!.cost));
    }
    for (const { name, fits, shape, buffers, cost } of [out!, down!]) {
      if (!fits) continue;
      const more = { x: { floats: dim }, norm: { floats: dim }, stored: vector(dim) };
      const stored = { ...shape, storedColumns: dim };
      subjects.push(subjectOf(name, OPERATIONS.add, stored, { ...buffers, ...more }, cost));
    }
    if (gateUp!.fits) {
      const buffers = { ...gateUp!.buffers, stored: vector(hidden) };
      const shape = { ...gateUp!.shape, storedColumns: hidden };
      subjects.push(subjectOf(gateUp!.name, OPERATIONS.gate, shape, buffers, gateUp!.cost));
    }
    if (head!.fits) {
      const buffers = { ...head!.buffers, logits: { floats: vocab } };
      subjects.push(subjectOf(head!.name, OPERATIONS.head, head!.shape, buffers, head!.cost));
    }

    const splits = fusedSplits(attention);
    const shape = { ...attention, splits, arithmetic };
    const parts = { zeros: splitBytes(attention, splits) };
    const halves = { values: kvHeads * context * headDim, bits: 16 };
    if (arithmetic === ARITHMETICS[0]) {
      subjects.push(
        subjectOf(
          `attention split at ${context}`,
          OPERATIONS.attentionSplit,
          shape,
          { q, ...cache, parts, rows, pages: { pages } },
          {
            tokens: 1,
            bytes: 4 * kvHeads * context * headDim,
            flops: 4 * heads * headDim * context,
            streams: [
              { binding: "keys", ...halves },
              { binding: "values", ...halves },
            ],
          },
        ),
      );
    }
    subjects.push(
      subjectOf(
        `attention merge x ${arithmetic}`,
        OPERATIONS.attentionMerge,
        shape,
        { shares: parts, stored: vector(heads * headDim) },
        { tokens: 1, bytes: parts.zeros, flops: 0 },
      ),
    );
  }
  return subjects;
}
