import type { Gpu } from "../src/gpu/device.ts";
import { SPLIT_POSITIONS, splitBytes } from "../src/kernels/attention-split.ts";
import { type AttentionShape, type CacheFormat, cacheBytes } from "../src/kernels/cache.ts";
import { weightBindings } from "../src/kernels/matrix.ts";
import { OPERATIONS } from "../src/kernels/operations.ts";
import { ARITHMETICS, canMultiply, vectorBytes } from "../src/kernels/vector.ts";
import type { Config } from "../src/model/config.ts";
import { fusedSplits } from "../src/model/sets/fused.ts";
import { attentionShape } from "../src/model/state.ts";
import { STORED, storedBytes, type WeightFormat } from "../src/stored.ts";
import { type Content, matricesOf, ofCache, type Subject, subjectOf } from "./subjects.ts";

/** How the cache is stored, the usual way first. */
const CACHES = ["f16", "q8", "q4"] as const satisfies readonly CacheFormat[];
/** That a lane loads for each of eight values: their codes, and the words of their group, or in q8 of two groups. */
const LOADED_BITS = { f16: 16, f32: 32, q8: 16, q4: 8 } as const satisfies Record<CacheFormat, number>;

/** Rows of a pass of few. */
const FEW_ROWS = 8;

/** The kernels of the set `fused` at the widths of a config, in every arithmetic that the format has, at a full context. */
export function listFusedSubjects(
  gpu: Pick<Gpu, "bindingLimit">,
  config: Config,
  format: WeightFormat,
): Subject[] {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, rms_norm_eps: eps } = config;
  const context = config.max_position_embeddings;
  const shapes = CACHES.map((cache) => attentionShape(config, context, cache));
  const { heads, kvHeads, headDim, pages } = shapes[0]!;
  const rows: Content = { rows: 1, position: context - 1 };
  const q = { floats: heads * headDim };
  const subjects: Subject[] = [];
  const arithmetics = ARITHMETICS.filter((name) => canMultiply(format, name));
  for (const arithmetic of arithmetics) {
    const vector = (columns: number) => ({ zeros: vectorBytes(arithmetic, columns) });
    const several = (columns: number) => ({ zeros: FEW_ROWS * vectorBytes(arithmetic, columns) });
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
          isOther: arithmetic !== arithmetics[0],
          tokens: 1,
          bytes: words + scales,
          flops: 2 * outputs * columns,
          streams: [{ binding: "weight", values: outputs * columns, bits: STORED[format].bits }],
        },
      };
    });
    const [qkv, out, gateUp, down, head] = matrices;
    // The formats of the cache in one arithmetic, and of weights: what they change comes after the product.
    const own = shapes.slice(0, arithmetic === ARITHMETICS[0] ? undefined : 1);
    for (const attention of qkv!.fits ? own.slice(0, format === "q4" ? undefined : 1) : []) {
      const [{ cache }, { name, shape, cost }] = [attention, qkv!];
      const buffers = {
        ...qkv!.buffers,
        table: { floats: context * headDim },
        rows,
        ...cached(attention),
        q,
      };
      subjects.push(
        subjectOf(name + ofCache(cache), OPERATIONS.qkv, { ...shape, attention }, buffers, {
          ...cost,
          cache,
        }),
      );
    }
    for (const { name, fits, shape, buffers, cost } of [out!, down!]) {
      if (!fits) continue;
      const more = { x: { floats: dim }, norm: { floats: dim }, stored: vector(dim) };
      const stored = { ...shape, storedColumns: dim };
      subjects.push(subjectOf(name, OPERATIONS.add, stored, { ...buffers, ...more }, cost));
    }
    if (gateUp!.fits) {
      const { name, cost } = gateUp!;
      const buffers = { ...gateUp!.buffers, stored: vector(hidden) };
      const shape = { ...gateUp!.shape, storedColumns: hidden };
      // What few rows change, and each arithmetic, is in the product, which all kernels share.
      const kind = `gate as ${arithmetic}`;
      subjects.push(subjectOf(name, OPERATIONS.gate, shape, buffers, { ...cost, kind }));
      const few = { input: several(dim), stored: several(hidden) };
      subjects.push(
        subjectOf(
          `${name} x ${FEW_ROWS}`,
          OPERATIONS.gate,
          { ...shape, tokens: FEW_ROWS },
          { ...buffers, ...few },
          { ...cost, flops: FEW_ROWS * cost.flops, tokens: FEW_ROWS, kind: `${kind}, few rows` },
        ),
      );
    }
    if (head!.fits) {
      const buffers = { ...head!.buffers, logits: { floats: vocab } };
      subjects.push(
        subjectOf(head!.name, OPERATIONS.head, { ...head!.shape, outputs: vocab }, buffers, head!.cost),
      );
    }

    for (const attention of own) {
      const { cache } = attention;
      const splits = fusedSplits(attention);
      const shape = { ...attention, splits, arithmetic };
      const parts = { zeros: splitBytes(attention, splits) };
      const stream = { values: kvHeads * context * headDim, bits: LOADED_BITS[cache] };
      if (arithmetic === ARITHMETICS[0]) {
        const early = { values: kvHeads * SPLIT_POSITIONS * headDim, bits: LOADED_BITS[cache] };
        subjects.push(
          subjectOf(
            `attention whole at ${SPLIT_POSITIONS}${ofCache(cache)}`,
            OPERATIONS.attentionWhole,
            shape,
            {
              q,
              ...cached(attention),
              rows: { rows: 1, position: SPLIT_POSITIONS - 1 },
              pages: { pages },
              stored: vector(heads * headDim),
            },
            {
              tokens: 1,
              bytes: (2 * cacheBytes(attention) * SPLIT_POSITIONS) / context,
              flops: 4 * heads * headDim * SPLIT_POSITIONS,
              streams: [
                { binding: "keys", ...early },
                { binding: "values", ...early },
              ],
              cache,
            },
          ),
          subjectOf(
            `attention split at ${context}${ofCache(cache)}`,
            OPERATIONS.attentionSplit,
            shape,
            { q, ...cached(attention), parts, rows, pages: { pages } },
            {
              tokens: 1,
              bytes: 2 * cacheBytes(attention),
              flops: 4 * heads * headDim * context,
              streams: [
                { binding: "keys", ...stream },
                { binding: "values", ...stream },
              ],
              cache,
            },
          ),
        );
      }
      subjects.push(
        subjectOf(
          `attention merge x ${arithmetic}${ofCache(cache)}`,
          OPERATIONS.attentionMerge,
          shape,
          { shares: parts, stored: vector(heads * headDim) },
          { tokens: 1, bytes: parts.zeros, flops: 0, cache },
        ),
      );
    }
  }
  return subjects;
}

function cached(attention: AttentionShape): Record<"keys" | "values", Content> {
  const content = { zeros: cacheBytes(attention) };
  return { keys: content, values: content };
}
