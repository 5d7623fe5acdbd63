import type { Config } from "../../src/model/config.ts";
import { matmulOracle, rmsNormOracle, swigluOracle } from "./linear.ts";

/** A LLaMA's tensors by HF's names, as float32. */
export type Tensors = ReadonlyMap<string, Float32Array>;

/**
 * The forward pass of HF's LlamaForCausalLM in float64: logits [T, vocab] of every position, from an empty cache.
 * Shares no code with the runtime. `observe` is told what each matrix is multiplied with, [T, columns]; `keep` gives what a
 * cache stands for that holds keys or values [T, kvHeads, headDim].
 */
export function llamaOracle(
  config: Config,
  tensors: Tensors,
  tokens: readonly number[],
  observe: (tensor: string, x: Float64Array) => void = () => {},
  keep: (x: Float64Array, of: "keys" | "values") => Float64Array = (x) => x,
): Float64Array {
  const { hidden_size: dim, intermediate_size: hidden, head_dim: headDim, rms_norm_eps: eps } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, vocab_size: vocab } = config;
  const get = (name: string) => tensors.get(`${name}.weight`)!;
  const linear = (name: string, input: Float64Array, rows: number, columns: number) => {
    observe(`${name}.weight`, input);
    return matmulOracle(get(name), input, rows, columns);
  };
  const embed = get("model.embed_tokens");
  let x: Float64Array = Float64Array.from(
    tokens.flatMap((id) => [...embed.subarray(id * dim, (id + 1) * dim)]),
  );
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const layer = `model.layers.${l}`;
    const h = rmsNormOracle(x, get(`${layer}.input_layernorm`), eps);
    const q = rotate(config, linear(`${layer}.self_attn.q_proj`, h, heads * headDim, dim), heads);
    const k = rotate(config, linear(`${layer}.self_attn.k_proj`, h, kvHeads * headDim, dim), kvHeads);
    const v = linear(`${layer}.self_attn.v_proj`, h, kvHeads * headDim, dim);
    const attended = attend(config, q, keep(k, "keys"), keep(v, "values"), tokens.length);
    x = add(x, linear(`${layer}.self_attn.o_proj`, attended, dim, heads * headDim));
    const m = rmsNormOracle(x, get(`${layer}.post_attention_layernorm`), eps);
    const [gate, up] = ["gate", "up"].map((p) => linear(`${layer}.mlp.${p}_proj`, m, hidden, dim));
    const gated = swigluOracle(interleaveRows(gate!, up!, hidden), hidden);
    x = add(x, linear(`${layer}.mlp.down_proj`, gated, dim, hidden));
  }
  const last = rmsNormOracle(x, get("model.norm"), eps);
  return linear(config.tie_word_embeddings ? "model.embed_tokens" : "lm_head", last, vocab, dim);
}

/** rotate_half: the pairs are (i, i + headDim / 2), the angle position / factor · theta^(-2i / headDim). */
function rotate(config: Config, x: Float64Array, heads: number): Float64Array {
  const { head_dim: headDim, rope_theta: theta, rope_factor: factor } = config;
  const half = headDim / 2;
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length / headDim; row++) {
    const position = Math.floor(row / heads);
    for (let i = 0; i < half; i++) {
      const angle = (position / factor) * theta ** (-i / half);
      const [a, b] = [x[row * headDim + i]!, x[row * headDim + half + i]!];
      y[row * headDim + i] = a * Math.cos(angle) - b * Math.sin(angle);
      y[row * headDim + half + i] = b * Math.cos(angle) + a * Math.sin(angle);
    }
  }
  return y;
}

function attend(
  config: Config,
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  tokens: number,
): Float64Array {
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = config;
  const y = new Float64Array(tokens * heads * headDim);
  for (let t = 0; t < tokens; t++) {
    for (let head = 0; head < heads; head++) {
      const group = Math.floor(head / (heads / kvHeads));
      const scores = Array.from({ length: t + 1 }, (_, j) => {
        let dot = 0;
        for (let i = 0; i < headDim; i++) {
          dot += q[(t * heads + head) * headDim + i]! * k[(j * kvHeads + group) * headDim + i]!;
        }
        return dot / Math.sqrt(headDim);
      });
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const sum = weights.reduce((a, b) => a + b);
      for (const [j, weight] of weights.entries()) {
        for (let i = 0; i < headDim; i++) {
          const at = (t * heads + head) * headDim + i;
          y[at] = y[at]! + (weight / sum) * v[(j * kvHeads + group) * headDim + i]!;
        }
      }
    }
  }
  return y;
}

function add(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]!);
}

/** [gate row, up row] for each token. */
function interleaveRows(gate: Float64Array, up: Float64Array, width: number): Float64Array {
  const rows = new Float64Array(2 * gate.length);
  for (let at = 0; at < gate.length; at += width) {
    rows.set(gate.subarray(at, at + width), 2 * at);
    rows.set(up.subarray(at, at + width), 2 * at + width);
  }
  return rows;
}

/** KL(p ‖ q) in nats between the softmaxes of two rows of logits. */
export function klDivergence(p: ArrayLike<number>, q: ArrayLike<number>): number {
  const logP = logSoftmax(p);
  const logQ = logSoftmax(q);
  let sum = 0;
  for (let i = 0; i < logP.length; i++) sum += Math.exp(logP[i]!) * (logP[i]! - logQ[i]!);
  return sum;
}

function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const largest = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const log = Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0)) + largest;
  return values.map((value) => value - log);
}
