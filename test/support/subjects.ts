import type { Gpu } from "../../src/gpu/device.ts";
import { missingFeatures } from "../../src/gpu/features.ts";
import type { Bound, Dispatch } from "../../src/gpu/kernel.ts";
import { CACHE_FORMATS, type CacheFormat } from "../../src/kernels/cache.ts";
import { allocateMatrix, destroyMatrix, type Matrix, slabBuffers } from "../../src/kernels/matrix.ts";
import { OPERATIONS } from "../../src/kernels/operations.ts";
import { MOST_DRAWN } from "../../src/kernels/rows.ts";
import { ARITHMETICS } from "../../src/kernels/vector.ts";
import { type Operation, prepare, type Way } from "../../src/kernels/way.ts";
import { parseConfig } from "../../src/model/config.ts";
import { attentionShape, createState, type State } from "../../src/model/state.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { configJson } from "./checkpoint.ts";
import { storeMatrix } from "./matrix.ts";
import { randomFloats } from "./random.ts";

/** Rows of a pass of several: more than a tile of four, and few enough for every way of attention. */
export const ROWS = 6;

export const CONFIG = parseConfig(
  configJson({ num_hidden_layers: 1, num_key_value_heads: 2, max_position_embeddings: 320 }),
);

/** Bytes of every buffer that is not a state's or a matrix's: more than ROWS rows of the widest, and a guard. */
const ROOM = 2 ** 17;

const { hidden_size: dim, intermediate_size: hidden, head_dim: headDim, vocab_size: vocab } = CONFIG;
const { num_attention_heads: heads, num_key_value_heads: kvHeads } = CONFIG;

/** A way of an operation at a small shape. */
export interface Subject {
  readonly operation: Operation<unknown, string>;
  readonly shape: unknown;
  readonly way: Way<unknown>;
  readonly cache: CacheFormat;
  /** Of the slab that it multiplies with, if it does. */
  readonly slab?: { readonly format: WeightFormat; readonly rows: number; readonly columns: number };
  /** Whether it is of a pass of several rows. */
  readonly isOfSeveral: boolean;
}

type Name = keyof typeof OPERATIONS;

/** Every way of an operation at the small model's shapes, whatever it needs. */
export function* subjectsOf(name: Name): Generator<Subject> {
  const operation = OPERATIONS[name] as Operation<unknown, string>;
  for (const cache of CACHE_FORMATS) {
    for (const format of WEIGHT_FORMATS) {
      for (const arithmetic of ARITHMETICS) {
        for (const tokens of [ROWS, 1]) {
          const slab = slabOf(name, format);
          const shape = {
            ...attentionShape(CONFIG, CONFIG.max_position_embeddings, cache, 640),
            attention: attentionShape(CONFIG, CONFIG.max_position_embeddings, cache, 640),
            ...slab,
            ...{
              arithmetic,
              tokens: IS_FUSED.has(name) ? 1 : tokens,
              eps: 1e-6,
              firstRow: 0,
              accumulate: false,
            },
            ...{ outputs: slab?.rows, storedColumns: name === "gate" ? hidden : dim, splits: 2 },
            ...{ dim, hidden, vocab, width: heads * headDim, limit: vocab - 1, drawn: MOST_DRAWN },
            ...(slab ? {} : { columns: dim }),
          };
          for (const way of operation.ways) {
            if (way.fits && !way.fits(shape)) continue;
            const isOfSeveral = !IS_FUSED.has(name) && tokens > 1;
            yield { operation, shape, way, cache, isOfSeveral, ...(slab ? { slab } : {}) };
          }
        }
      }
    }
  }
}

/** Those of one row. */
const IS_FUSED: ReadonlySet<Name> = new Set<Name>([
  "embedGroup",
  "qkv",
  "attentionSplit",
  "attentionMerge",
  "attentionWhole",
  "add",
  "gate",
  "head",
]);

function slabOf(name: Name, format: WeightFormat) {
  const rowsOf: Partial<Record<Name, number>> = {
    embed: vocab,
    embedGroup: vocab,
    linear: 96,
    linearOfQuads: 96,
    qkv: (heads + 2 * kvHeads) * headDim,
    add: dim,
    gate: 2 * hidden,
    head: vocab,
  };
  const rows = rowsOf[name];
  return rows === undefined ? undefined : { format, rows, columns: dim };
}

export function allows(gpu: Gpu, { way }: Subject): boolean {
  return missingFeatures(way.needs, gpu.features).length === 0;
}

/** The state that a subject's dispatches share with others of its cache. */
export function stateOf(gpu: Gpu, { cache }: Subject): State {
  const shape = attentionShape(CONFIG, CONFIG.max_position_embeddings, cache, 640);
  return createState(gpu, CONFIG, shape, ROWS);
}

/**
 * Compiles a subject, and binds it to a state and to buffers of its own, which destroy() releases.
 * @param isFilled Whether its matrix has random weights. Default: none.
 */
export async function dispatchOf(
  gpu: Gpu,
  state: State,
  { operation, shape, way, slab }: Subject,
  isFilled = false,
): Promise<{ dispatch: Dispatch; destroy(): void }> {
  const make = await prepare(gpu, operation, shape, way.name);
  const matrix = slab && makeMatrix(gpu, slab, isFilled);
  const { keys, values } = state.layers[0]!;
  const { pages, ropeTable: table, logits, best, chosen, settings, marks } = state;
  const known: Record<string, Bound> = {
    ...{ rows: state.rows.buffer, pages, table, keys, values, logits, best, chosen, settings, marks },
    ...(matrix ? slabBuffers(matrix.slabs[0]!) : {}),
  };
  const names = operation.bindings(shape);
  const own = new Map(names.filter((name) => !(name in known)).map((name) => [name, gpu.buffer(name, ROOM)]));
  const buffers = Object.fromEntries(names.map((name) => [name, own.get(name) ?? known[name]!]));
  return {
    dispatch: make(buffers),
    destroy() {
      for (const buffer of own.values()) buffer.destroy();
      if (matrix) destroyMatrix(matrix);
    },
  };
}

function makeMatrix(
  gpu: Gpu,
  { format, rows, columns }: NonNullable<Subject["slab"]>,
  isFilled: boolean,
): Matrix {
  if (isFilled) return storeMatrix(gpu, format, randomFloats(rows * columns, 1), columns).matrix;
  return allocateMatrix(gpu, "slab", format, rows, columns);
}
