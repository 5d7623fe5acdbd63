import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { parseConfig } from "../../src/model/config.ts";

const ZIYA_V1 = {
  _name_or_path: "path/to/your/checkpoints",
  architectures: ["LlamaForCausalLM"],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: 5120,
  initializer_range: 0.02,
  intermediate_size: 13824,
  max_position_embeddings: 2048,
  model_type: "llama",
  num_attention_heads: 40,
  num_hidden_layers: 40,
  pad_token_id: 0,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  torch_dtype: "float16",
  transformers_version: "4.29.0.dev0",
  use_cache: true,
  vocab_size: 39424,
};
const parse = (changes: Record<string, unknown> = {}) =>
  parseConfig(JSON.stringify({ ...ZIYA_V1, ...changes }));

describe("Ziya's variants", () => {
  it("v1 has HF's defaults for what it leaves out", () => {
    expect(parse()).toEqual({
      vocab_size: 39424,
      hidden_size: 5120,
      intermediate_size: 13824,
      num_hidden_layers: 40,
      num_attention_heads: 40,
      num_key_value_heads: 40,
      head_dim: 128,
      max_position_embeddings: 2048,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      rope_factor: 1,
      tie_word_embeddings: false,
    });
  });

  it("Pretrain's and Writing's stray keys change nothing", () => {
    const stray = {
      layer_norm_eps: 1e-5,
      rotary_emb_base: 10000,
      rotary_pct: 1,
      use_parallel_residual: false,
    };
    expect(parse({ ...stray, torch_dtype: "float32", use_cache: false })).toEqual(parse());
  });

  it("Reader scales RoPE linearly", () => {
    const reader = parse({ max_position_embeddings: 4096, rope_scaling: { type: "linear", factor: 2.0 } });
    expect(reader.rope_factor).toBe(2);
    expect(reader.max_position_embeddings).toBe(4096);
  });

  it("Ziya2 has a vocabulary that is no multiple of 32", () => {
    expect(parse({ vocab_size: 39410, torch_dtype: "bfloat16" }).vocab_size).toBe(39410);
  });
});

it("reads RoPE settings in the newer form too", () => {
  expect(parse({ rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 1e6 } })).toMatchObject({
    rope_factor: 4,
    rope_theta: 1e6,
  });
});

it("takes transformers' choice where two keys say different things, and other spellings", () => {
  const both = { rope_scaling: { type: "linear", factor: 2 }, rope_parameters: { rope_type: "default" } };
  expect(parse(both).rope_factor).toBe(2);
  expect(parse({ ...both, rope_scaling: {} }).rope_factor).toBe(1);
  expect(parse({ rope_theta: 5, rope_parameters: { rope_theta: 7 } }).rope_theta).toBe(7);
  expect(parse({ partial_rotary_factor: 0.5, rope_parameters: { partial_rotary_factor: 1 } })).toEqual(
    parse(),
  );
  expect(parse({ architectures: ["LLaMAForCausalLM"], hidden_act: "swish" })).toEqual(parse());
});

it("reads the numbers that Python writes and JSON has not", () => {
  const text = JSON.stringify({ ...ZIYA_V1, _name_or_path: 'NaN "Infinity', dropout: "HERE" });
  for (const number of ["NaN", "Infinity", "-Infinity"]) {
    expect(parseConfig(text.replace('"HERE"', number))).toEqual(parse());
    const inUse = () => parseConfig(text.replace('"rms_norm_eps":0.000001', `"rms_norm_eps":${number}`));
    expect(inUse).toThrow(ConfigError);
    expect(inUse).toThrow("config.json has rms_norm_eps ");
  }
  expect(() => parseConfig(text.replace('"HERE"', "nan"))).toThrow("config.json is not JSON");
});

describe("what this runtime does not do is refused by name", () => {
  it.each([
    [{ model_type: "mistral" }, 'model_type "mistral"'],
    [{ architectures: ["GPTNeoXForCausalLM"] }, "GPTNeoXForCausalLM"],
    [{ hidden_act: "gelu" }, 'hidden_act "gelu"'],
    [{ attention_bias: true }, "attention_bias true"],
    [{ mlp_bias: true }, "mlp_bias true"],
    [{ rope_scaling: { type: "dynamic", factor: 2 } }, 'RoPE by "dynamic"'],
    [{ rope_scaling: { type: "linear" } }, "factor undefined"],
    [{ rope_scaling: "linear" }, 'rope_scaling "linear"; wanted an object'],
    [
      { rope_scaling: { full_attention: { factor: 2 } } },
      'rope_scaling {"full_attention":{"factor":2}}; wanted',
    ],
    [{ rope_parameters: { rope_theta: "1e4" } }, 'rope_theta "1e4"'],
    [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor 0.5"],
    [{ rope_parameters: { partial_rotary_factor: 0.5 } }, "partial_rotary_factor 0.5"],
    [{ quantization_config: { quant_method: "gptq" } }, 'quantization_config {"quant_method":"gptq"}'],
    [{ per_layer_config: {} }, "per_layer_config {}"],
    [{ is_encoder_decoder: true }, "is_encoder_decoder true"],
    [{ num_attention_heads: 48 }, "hidden_size 5120 over 48 heads and no head_dim"],
    [{ hidden_size: 5121 }, "hidden_size 5121"],
    [{ vocab_size: 0 }, "vocab_size 0"],
    [{ vocab_size: "39424" }, 'vocab_size "39424"'],
    [{ num_hidden_layers: 1025 }, "num_hidden_layers 1025; wanted an integer from 1 to 1024"],
    [{ architectures: [{ toString: 1, valueOf: 1 }] }, 'architecture [{"toString":1,"valueOf":1}]'],
    [{ num_key_value_heads: 3 }, "40 heads over 3"],
    [{ head_dim: 130 }, "heads of 130"],
    [{ rms_norm_eps: -1 }, "rms_norm_eps -1"],
    [{ tie_word_embeddings: "no" }, 'tie_word_embeddings "no"'],
  ])("%o", (changes, words) => {
    expect(() => parse(changes)).toThrow(ConfigError);
    expect(() => parse(changes)).toThrow(words);
  });

  it("a value that is nested too deep to print", () => {
    const deep = `{"model_type":${"[".repeat(5000)}${"]".repeat(5000)}}`;
    expect(() => parseConfig(deep)).toThrow(ConfigError);
    expect(() => parseConfig(deep)).toThrow("config.json is nested more than 64 deep");
  });

  it("text that is no JSON, and JSON that is no object", () => {
    expect(() => parseConfig("{")).toThrow("config.json is not JSON");
    expect(() => parseConfig("[]")).toThrow("config.json is JSON but not an object");
  });
});
