import { ConfigError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { apart, type Part, type Take, together } from "../gpu/part.ts";
import { allocateMatrix, destroyMatrix, type Matrix } from "../kernels/matrix.ts";
import type { WeightFormat } from "../stored.ts";
import type { Config } from "./config.ts";

/** One layer's weights, parts of one buffer where they fit; the names in HF's checkpoint are in the comments. */
interface LayerWeights {
  readonly inputNorm: Part; //         input_layernorm            [dim]
  readonly qkv: Matrix; //                  self_attn.{q,k,v}_proj     [(heads + 2 kvHeads) headDim, dim]
  readonly out: Matrix; //                  self_attn.o_proj           [dim, heads headDim]
  readonly postAttentionNorm: Part; // post_attention_layernorm   [dim]
  readonly gateUp: Matrix; //               mlp.{gate,up}_proj         [2 hidden, dim]
  readonly down: Matrix; //                 mlp.down_proj              [dim, hidden]
}

/** A model's weights on the GPU: never written after loading. */
export interface Weights {
  readonly embed: Matrix; // model.embed_tokens [vocab, dim]
  readonly layers: readonly LayerWeights[];
  readonly norm: Part; // model.norm [dim]
  readonly head: Matrix; // lm_head [vocab, dim], or embed when the config ties them
}

/** A matrix or vector of a model, and the checkpoint's tensors that are stacked in it by rows, by HF's names. */
type Stack =
  | { readonly matrix: Matrix; readonly names: readonly string[] }
  | { readonly vector: Part; readonly names: readonly [string] };

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

/** By the name of a matrix in the checkpoint, how it is stored. */
export type FormatOf = (tensor: string) => WeightFormat;

/**
 * Room for a model's weights, still empty: uploadWeights() fills it.
 * @throws ConfigError when matrices that are stacked in one are to be stored in several formats.
 */
export function allocateWeights(gpu: Gpu, config: Config, formatOf: FormatOf): Weights {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, head_dim: headDim } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const vector = (take: Take, label: string) => take(label, 4 * dim);
  const matrix = (take: Take, label: string, stacked: readonly string[], rows: number, columns: number) => {
    const formats = stacked.map((tensor) => formatOf(`${tensor}.weight`));
    if (new Set(formats).size > 1) {
      throw new ConfigError(
        `${stacked.join(", ")} are stored as one matrix; asked for ${formats.join(", ")}: choose one format for them.`,
      );
    }
    return allocateMatrix(gpu, label, formats[0]!, rows, columns, take);
  };
  const own = apart(gpu);
  const embed = matrix(own, "embed_tokens", ["model.embed_tokens"], vocab, dim);
  return {
    embed,
    layers: Array.from({ length: config.num_hidden_layers }, (_, l) =>
      together(gpu, `weights of layer ${l}`, (take) => ({
        inputNorm: vector(take, `layer ${l} input norm`),
        qkv: matrix(
          take,
          `layer ${l} qkv`,
          projections(l, "self_attn", "q", "k", "v"),
          (heads + 2 * kvHeads) * headDim,
          dim,
        ),
        out: matrix(take, `layer ${l} out`, projections(l, "self_attn", "o"), dim, heads * headDim),
        postAttentionNorm: vector(take, `layer ${l} post-attention norm`),
        gateUp: matrix(take, `layer ${l} gate and up`, projections(l, "mlp", "gate", "up"), 2 * hidden, dim),
        down: matrix(take, `layer ${l} down`, projections(l, "mlp", "down"), dim, hidden),
      })),
    ),
    norm: vector(own, "norm"),
    head: config.tie_word_embeddings ? embed : matrix(own, "lm_head", ["lm_head"], vocab, dim),
  };
}

/** The names of a layer's matrices, without their suffix. */
function projections(layer: number, block: string, ...parts: readonly string[]): string[] {
  return parts.map((part) => `model.layers.${layer}.${block}.${part}_proj`);
}

/** All that a model's weights are made of, in the order of the forward pass. */
export function* stacks({ embed, layers, norm, head }: Weights): Generator<Stack> {
  yield { matrix: embed, names: ["model.embed_tokens.weight"] };
  for (const [l, layer] of layers.entries()) {
    const of = (part: string) => `model.layers.${l}.${part}.weight`;
    yield { vector: layer.inputNorm, names: [of("input_layernorm")] };
    yield { matrix: layer.qkv, names: ["q", "k", "v"].map((part) => of(`self_attn.${part}_proj`)) };
    yield { matrix: layer.out, names: [of("self_attn.o_proj")] };
    yield { vector: layer.postAttentionNorm, names: [of("post_attention_layernorm")] };
    yield { matrix: layer.gateUp, names: ["gate", "up"].map((part) => of(`mlp.${part}_proj`)) };
    yield { matrix: layer.down, names: [of("mlp.down_proj")] };
  }
  yield { vector: norm, names: ["model.norm.weight"] };
  if (head !== embed) yield { matrix: head, names: ["lm_head.weight"] };
}

/** Releases every buffer of a model. */
export function destroyWeights(weights: Weights): void {
  for (const stack of stacks(weights)) {
    if ("vector" in stack) stack.vector.buffer.destroy();
    else destroyMatrix(stack.matrix);
  }
}
