import type { Gpu } from "../gpu/device.ts";
import {
  type AttentionShape,
  type CacheFormat,
  cacheBytes,
  cacheSlices,
  packedBytes,
  sequencePages,
} from "../kernels/cache.ts";
import { marksLength } from "../kernels/penalise.ts";
import { ropeTable } from "../kernels/rope.ts";
import { MOST_DRAWN, rowsBytes } from "../kernels/rows.ts";
import { SETTINGS } from "../kernels/sample.ts";
import type { Config } from "./config.ts";
import { MAX_CANDIDATES } from "./language-model.ts";
import { Rows } from "./rows.ts";
import { KvCache, PAGE, type PageTable, tableLines } from "./sequence.ts";

/** What the passes of a model share, whatever kernels they use: what they are told, the KV cache, what they leave. */
export interface State {
  readonly attention: AttentionShape;
  readonly rows: Rows; //           of up to T tokens
  readonly cache: KvCache; //       which pages are whose
  readonly pages: GPUBuffer; //     [sequences, pages of one] u32: the page table
  readonly layers: readonly Layer[]; // keys and values, [kvHeads, page · pages, headDim]
  readonly copied: GPUBuffer; //    a page of a layer on its way to another
  readonly ropeTable: GPUBuffer; // [context, headDim / 2] cos and sin; constant
  readonly logits: GPUBuffer; //    [MOST_DRAWN, vocab] of the rows asked for
  readonly best: GPUBuffer; //      of each, argmax: id and logit; top-k: MAX_CANDIDATES ids, then their logits
  readonly chosen: GPUBuffer; //    [MOST_DRAWN] of a run ahead: the id and its logit
  readonly settings: GPUBuffer; //  [MOST_DRAWN] of its draws: what drawSettings() makes
  readonly marks: GPUBuffer; //     [MOST_DRAWN] of its penalties: what setMarks() makes
}

interface Layer {
  readonly keys: GPUBuffer;
  readonly values: GPUBuffer;
}

/** The sizes of attention over a cache of `cacheTokens` positions, of which a sequence may have `context`. */
export function attentionShape(
  config: Config,
  context: number,
  cache: CacheFormat,
  cacheTokens: number = context,
): AttentionShape {
  return {
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads,
    headDim: config.head_dim,
    context,
    cache,
    page: PAGE,
    pages: Math.ceil(cacheTokens / PAGE),
  };
}

/** Bytes of a state's other buffers, by name, for passes of `tokens` rows. */
export function stateBytes(config: Config, shape: AttentionShape, tokens: number) {
  return {
    rows: rowsBytes(tokens),
    drawnRows: rowsBytes(MOST_DRAWN),
    pages: 4 * tableLines(shape) * sequencePages(shape),
    ropeTable: 4 * shape.context * shape.headDim,
    logits: 4 * MOST_DRAWN * config.vocab_size,
    best: 8 * MOST_DRAWN * MAX_CANDIDATES,
    chosen: 8 * MOST_DRAWN,
    settings: 4 * MOST_DRAWN * SETTINGS,
    marks: 4 * MOST_DRAWN * marksLength(config.vocab_size),
    copied: 2 * packedBytes(shape, shape.page),
  };
}

/** Allocates a state once; nothing is allocated per token. */
export function createState(gpu: Gpu, config: Config, attention: AttentionShape, tokens: number): State {
  const bytes = stateBytes(config, attention, tokens);
  const { queue } = gpu.device;
  const table = gpu.buffer("rope table", bytes.ropeTable);
  const angles = ropeTable(config.head_dim, attention.context, config.rope_theta, config.rope_factor);
  queue.writeBuffer(table, 0, angles as Float32Array<ArrayBuffer>);
  const pages = gpu.buffer("page table", bytes.pages);
  const lineLength = sequencePages(attention);
  const words = new Uint32Array(lineLength);
  const layerBytes = cacheBytes(attention);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, l) => ({
    keys: gpu.buffer(`keys of layer ${l}`, layerBytes),
    values: gpu.buffer(`values of layer ${l}`, layerBytes),
  }));
  const copied = gpu.buffer("copied page", bytes.copied);
  const cache = new KvCache(attention, {
    setPages(line, held, first) {
      for (let i = first; i < held.length; i++) words[i] = held[i]!;
      queue.writeBuffer(pages, 4 * (line * lineLength + first), words, first, held.length - first);
    },
    copyPage: pageCopier(gpu, attention, layers, copied),
  });
  return {
    attention,
    rows: new Rows(gpu, tokens),
    cache,
    pages,
    ropeTable: table,
    logits: gpu.buffer("logits", bytes.logits),
    best: gpu.buffer("best", bytes.best),
    chosen: gpu.buffer("chosen", bytes.chosen),
    settings: gpu.buffer("settings of the draws", bytes.settings),
    marks: gpu.buffer("marks of the penalties", bytes.marks),
    layers,
    copied,
  };
}

/** Copies pages of all layers by way of a buffer beside: WebGPU copies nothing within one. */
function pageCopier(
  gpu: Gpu,
  shape: AttentionShape,
  layers: readonly Layer[],
  copied: GPUBuffer,
): PageTable["copyPage"] {
  return (from, to, positions) => {
    const range = { first: 0, count: positions, positions };
    const sources = cacheSlices(shape, from * shape.page, range);
    const targets = cacheSlices(shape, to * shape.page, range);
    const bytes = packedBytes(shape, positions);
    const encoder = gpu.device.createCommandEncoder({ label: "copy of a page" });
    for (const { keys, values } of layers) {
      // All out before all in: between the two directions a driver waits.
      for (const [i, buffer] of [keys, values].entries()) {
        for (const { cached, packed, bytes: size } of sources)
          encoder.copyBufferToBuffer(buffer, cached, copied, i * bytes + packed, size);
      }
      for (const [i, buffer] of [keys, values].entries()) {
        for (const { cached, packed, bytes: size } of targets)
          encoder.copyBufferToBuffer(copied, i * bytes + packed, buffer, cached, size);
      }
    }
    gpu.device.queue.submit([encoder.finish()]);
  };
}

/** Releases every buffer of a state. */
export function destroyState(state: State): void {
  const { rows, pages, ropeTable, logits, best, chosen, settings, marks, layers, copied } = state;
  rows.destroy();
  for (const buffer of [pages, ropeTable, logits, best, chosen, settings, marks, copied]) buffer.destroy();
  for (const { keys, values } of layers) {
    keys.destroy();
    values.destroy();
  }
}
