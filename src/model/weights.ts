import { type Checkpoint, expectTensor } from "../checkpoint/checkpoint.ts";
import type { Gpu } from "../kernels/device.ts";
import { allocateMatrix, type Matrix, storedBytes } from "../kernels/matrix.ts";
import type { PackedRows, WeightFormat } from "../quantize/format.ts";
import { packRows } from "../quantize/pack.ts";
import type { Importance } from "./calibrate.ts";
import type { Config } from "./config.ts";

/** One layer's weights; the names in HF's checkpoint are in the comments. */
export interface LayerWeights {
  readonly inputNorm: GPUBuffer; //         input_layernorm            [dim]
  readonly qkv: Matrix; //                  self_attn.{q,k,v}_proj     [(heads + 2 kvHeads) headDim, dim]
  readonly out: Matrix; //                  self_attn.o_proj           [dim, heads headDim]
  readonly postAttentionNorm: GPUBuffer; // post_attention_layernorm   [dim]
  readonly gateUp: Matrix; //               mlp.{gate,up}_proj         [2 hidden, dim]
  readonly down: Matrix; //                 mlp.down_proj              [dim, hidden]
}

/** A model's weights on the GPU: never written after loading. */
export interface Weights {
  readonly embed: Matrix; // model.embed_tokens [vocab, dim]
  readonly layers: readonly LayerWeights[];
  readonly norm: GPUBuffer; // model.norm [dim]
  readonly head: Matrix; // lm_head [vocab, dim], or embed when the config ties them
}

export interface WeightOptions {
  readonly format: WeightFormat;
  /** Of columns, by tensor name; tensors that are not in it have columns that are all alike. */
  readonly importance?: Importance | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called as tensors arrive, with parameters loaded and in all. */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
}

/** Bytes of rows, float32 or packed, that are read and uploaded at a time. */
const BLOCK_BYTES = 8 << 20;
/** Rows of a block are a multiple of this, so that scales begin on a u32. */
const BLOCK_ALIGNMENT = 64;
/** Uploads that may wait in the queue before loading pauses for them, in bytes. */
const UPLOAD_WINDOW = 64 << 20;

/** The tensors of a model by HF's names, with their shapes [rows, columns] or [rows]. */
export function tensorShapes(config: Config): Map<string, readonly number[]> {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, head_dim: headDim } = config;
  const [qRows, kvRows] = [config.num_attention_heads * headDim, config.num_key_value_heads * headDim];
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [vocab, dim]]]);
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const layer = `model.layers.${l}`;
    shapes.set(`${layer}.input_layernorm.weight`, [dim]);
    shapes.set(`${layer}.self_attn.q_proj.weight`, [qRows, dim]);
    shapes.set(`${layer}.self_attn.k_proj.weight`, [kvRows, dim]);
    shapes.set(`${layer}.self_attn.v_proj.weight`, [kvRows, dim]);
    shapes.set(`${layer}.self_attn.o_proj.weight`, [dim, qRows]);
    shapes.set(`${layer}.post_attention_layernorm.weight`, [dim]);
    shapes.set(`${layer}.mlp.gate_proj.weight`, [hidden, dim]);
    shapes.set(`${layer}.mlp.up_proj.weight`, [hidden, dim]);
    shapes.set(`${layer}.mlp.down_proj.weight`, [dim, hidden]);
  }
  shapes.set("model.norm.weight", [dim]);
  if (!config.tie_word_embeddings) shapes.set("lm_head.weight", [vocab, dim]);
  return shapes;
}

/**
 * Reads and uploads every tensor, a block of rows at a time: host memory holds one block, not a tensor. Matrices are
 * packed on the way, or uploaded as they are where the checkpoint has them packed in the wanted format.
 * @throws CheckpointError before anything is allocated when a tensor is missing or has another shape than the config's.
 */
export async function loadWeights(
  gpu: Gpu,
  config: Config,
  checkpoint: Checkpoint,
  options: WeightOptions,
): Promise<Weights> {
  const shapes = tensorShapes(config);
  for (const [name, shape] of shapes) expectTensor(checkpoint, name, shape);
  const loader = new Loader(gpu, checkpoint, shapes, options);

  const embed = await loader.matrix("embed_tokens", ["model.embed_tokens.weight"]);
  const layers: LayerWeights[] = [];
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const of = (name: string) => `model.layers.${l}.${name}.weight`;
    layers.push({
      inputNorm: await loader.vector(of("input_layernorm")),
      qkv: await loader.matrix(
        `layer ${l} qkv`,
        ["q", "k", "v"].map((p) => of(`self_attn.${p}_proj`)),
      ),
      out: await loader.matrix(`layer ${l} out`, [of("self_attn.o_proj")]),
      postAttentionNorm: await loader.vector(of("post_attention_layernorm")),
      gateUp: await loader.matrix(
        `layer ${l} gate and up`,
        ["gate", "up"].map((p) => of(`mlp.${p}_proj`)),
      ),
      down: await loader.matrix(`layer ${l} down`, [of("mlp.down_proj")]),
    });
  }
  const norm = await loader.vector("model.norm.weight");
  const head = config.tie_word_embeddings ? embed : await loader.matrix("lm_head", ["lm_head.weight"]);
  return { embed, layers, norm, head };
}

class Loader {
  private readonly gpu: Gpu;
  private readonly checkpoint: Checkpoint;
  private readonly shapes: ReadonlyMap<string, readonly number[]>;
  private readonly options: WeightOptions;
  private readonly total: number;
  private loaded = 0;
  private queued = 0;

  constructor(
    gpu: Gpu,
    checkpoint: Checkpoint,
    shapes: ReadonlyMap<string, readonly number[]>,
    options: WeightOptions,
  ) {
    this.gpu = gpu;
    this.checkpoint = checkpoint;
    this.shapes = shapes;
    this.options = options;
    this.total = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b), 0);
  }

  async vector(name: string): Promise<GPUBuffer> {
    const values = await this.checkpoint.readRows(name, 0, this.shapes.get(name)![0]!);
    const buffer = this.gpu.buffer(name, values.byteLength);
    await this.upload(buffer, 0, values);
    this.advance(values.length);
    return buffer;
  }

  /** One matrix of the named tensors, stacked by rows. */
  async matrix(label: string, names: readonly string[]): Promise<Matrix> {
    const { format } = this.options;
    const columns = this.shapes.get(names[0]!)![1]!;
    const rows = names.reduce((sum, name) => sum + this.shapes.get(name)![0]!, 0);
    const matrix = allocateMatrix(this.gpu, label, format, rows, columns);
    const rowBytes = this.checkpoint.packed ? storedBytes(format, 1, columns).weight : 4 * columns;
    const block = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes / BLOCK_ALIGNMENT)) * BLOCK_ALIGNMENT;
    let at = 0;
    for (const name of names) {
      const tensorRows = this.shapes.get(name)![0]!;
      for (let first = 0; first < tensorRows; ) {
        const slab = matrix.slabs.find(({ firstRow, rows }) => at >= firstRow && at < firstRow + rows)!;
        const count = Math.min(block, tensorRows - first, slab.firstRow + slab.rows - at);
        const { words, scales } = await this.packedRows(name, first, count, columns);
        const offset = storedBytes(format, at - slab.firstRow, columns);
        await this.upload(slab.weight, offset.weight, words);
        if (slab.scales && scales) await this.upload(slab.scales, offset.scales, scales);
        this.advance(count * columns);
        first += count;
        at += count;
      }
    }
    return matrix;
  }

  private async packedRows(name: string, first: number, count: number, columns: number): Promise<PackedRows> {
    const { packed } = this.checkpoint;
    if (packed) return packed.readRows(name, first, count);
    const { format, importance } = this.options;
    return packRows(
      format,
      await this.checkpoint.readRows(name, first, count),
      columns,
      importance?.get(name),
    );
  }

  private async upload(buffer: GPUBuffer, offset: number, data: Float32Array | Uint32Array): Promise<void> {
    const { queue } = this.gpu.device;
    queue.writeBuffer(buffer, offset, data as Uint32Array<ArrayBuffer>);
    this.queued += data.byteLength;
    if (this.queued < UPLOAD_WINDOW) return;
    queue.submit([]);
    await queue.onSubmittedWorkDone();
    this.gpu.check();
    this.queued = 0;
  }

  private advance(parameters: number): void {
    this.options.signal?.throwIfAborted();
    this.loaded += parameters;
    this.options.onProgress?.(this.loaded, this.total);
  }
}

/** Releases every buffer of a model. */
export function destroyWeights({ embed, layers, norm, head }: Weights): void {
  const matrices = [embed, head, ...layers.flatMap(({ qkv, out, gateUp, down }) => [qkv, out, gateUp, down])];
  for (const { slabs } of matrices) {
    for (const { weight, scales } of slabs) {
      weight.destroy();
      scales?.destroy();
    }
  }
  for (const buffer of [norm, ...layers.flatMap((l) => [l.inputNorm, l.postAttentionNorm])]) buffer.destroy();
}
