import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { CheckpointError } from "../../src/errors.ts";
import { parseConfig } from "../../src/model/config.ts";
import { expectTensors } from "../../src/model/tensors.ts";
import { tensorShapes } from "../../src/model/weights.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { folder } from "../checkpoint/bytes.ts";
import { configJson, randomTensors, safetensorsBytes } from "../support/checkpoint.ts";

const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";
const BIAS = "model.layers.0.self_attn.q_proj.bias";

/** A checkpoint of a small config with these keys, and with tensors besides the model's own. */
async function open(
  changes: Record<string, unknown>,
  more: Record<string, readonly [shape: readonly number[], values: Float32Array]> = {},
) {
  const config = parseConfig(configJson({ num_hidden_layers: 1, ...changes }));
  const tensors = randomTensors(config, 3);
  const shapes = tensorShapes(config);
  for (const [name, [shape, values]] of Object.entries(more)) {
    tensors.set(name, values);
    shapes.set(name, shape);
  }
  const checkpoint = await openCheckpoint(folder({ "model.safetensors": safetensorsBytes(tensors, shapes) }));
  return { config, checkpoint, embedding: tensors.get(EMBEDDING)! };
}

const vector = [[32], new Float32Array(32)] as const;

describe("a tensor that the model has no place for", () => {
  test.each([
    ["a bias", [BIAS], BIAS],
    ["an adapter", ["model.layers.0.mlp.up_proj.lora_A.weight"], "model.layers.0.mlp.up_proj.lora_A.weight"],
    ["a layer more", ["model.layers.1.input_layernorm.weight"], "model.layers.1.input_layernorm.weight"],
    ["several", [BIAS, "model.norm.bias", "lm_head.bias"], `${BIAS} in model.safetensors and 2 more: it is`],
    ["one that only ends like another", ["xrotary_emb.inv_freq"], "xrotary_emb.inv_freq"],
  ])("is refused: %s", async (_, names, message) => {
    const { checkpoint, config } = await open({}, Object.fromEntries(names.map((name) => [name, vector])));
    await expect(expectTensors(checkpoint, config)).rejects.toThrow(CheckpointError);
    await expect(expectTensors(checkpoint, config)).rejects.toThrow(
      /^The model of this config.json has no place for /,
    );
    await expect(expectTensors(checkpoint, config)).rejects.toThrow(message);
  });

  test("is passed over where every reader computes it anew", async () => {
    const recomputed = [
      "model.layers.0.self_attn.rotary_emb.inv_freq",
      "model.layers.7.self_attn.rotary_emb.cos_cached",
      "model.rotary_emb.inv_freq",
      "rotary_emb.sin_cached",
    ];
    const { checkpoint, config } = await open(
      {},
      Object.fromEntries(recomputed.map((name) => [name, vector])),
    );
    expect((await expectTensors(checkpoint, config)).map(({ name }) => name)).toEqual([
      ...tensorShapes(config).keys(),
    ]);
  });

  test("is named with its shard", async () => {
    const { checkpoint, config } = await open({});
    const shard: Checkpoint = {
      ...checkpoint,
      tensors: new Map([...checkpoint.tensors, [BIAS, { name: BIAS, dtype: "F32", shape: [32] }]]),
      fileOf: () => "model-00002-of-00003.safetensors",
    };
    await expect(expectTensors(shard, config)).rejects.toThrow(
      `${BIAS} in model-00002-of-00003.safetensors: `,
    );
  });
});

describe("a head beside embeddings that are to be the head", () => {
  const tied = { tie_word_embeddings: true, vocab_size: 301 };
  const shape = [301, 128] as const;

  test("is passed over where it is the same, and is none of the model's tensors", async () => {
    const { embedding } = await open(tied);
    const { checkpoint, config } = await open(tied, { [HEAD]: [shape, embedding.slice()] });
    expect((await expectTensors(checkpoint, config)).some(({ name }) => name === HEAD)).toBe(false);
  });

  test.each([0, 300 * 128 + 127])("is refused where weight %d differs", async (at) => {
    const { embedding } = await open(tied);
    const head = embedding.slice();
    head[at]! += 1;
    const { checkpoint, config } = await open(tied, { [HEAD]: [shape, head] });
    await expect(expectTensors(checkpoint, config)).rejects.toThrow(CheckpointError);
    await expect(expectTensors(checkpoint, config)).rejects.toThrow(
      "and lm_head.weight in model.safetensors differs from it in rows 0 to 300: if the model has a head of its own, set tie_word_embeddings to false.",
    );
  });

  test("is refused with another shape", async () => {
    const { checkpoint, config } = await open(tied, { [HEAD]: [[300, 128], new Float32Array(300 * 128)] });
    await expect(expectTensors(checkpoint, config)).rejects.toThrow(
      "holds lm_head.weight with the shape [300,128]; config.json calls for [301,128]",
    );
  });

  // More rows than are compared at a time.
  test("is read to its end", async () => {
    const [rows, columns] = [40_000, 128];
    const config = parseConfig(configJson({ ...tied, vocab_size: rows, num_hidden_layers: 1 }));
    const shapes = new Map([...tensorShapes(config), [HEAD, [rows, columns]]]);
    let wrong = -1;
    const reads: number[] = [];
    const checkpoint: Checkpoint = {
      name: "virtual",
      tensors: new Map([...shapes].map(([name, shape]) => [name, { name, dtype: "F32", shape }])),
      readRows: async (name, first, count) => {
        const values = new Float32Array(count * columns);
        if (name === HEAD) {
          reads.push(first);
          if (wrong >= first && wrong < first + count) values[(wrong - first) * columns] = 1;
        }
        return values;
      },
    };
    await expectTensors(checkpoint, config);
    expect(reads).toEqual([0, 16_384, 32_768]);
    wrong = rows - 1;
    await expect(expectTensors(checkpoint, config)).rejects.toThrow("in rows 32768 to 39999");
  });

  test("is compared as it is packed", async () => {
    const { checkpoint, config, embedding } = await open(tied);
    const opened = (heads: Float32Array): Checkpoint => ({
      ...checkpoint,
      tensors: new Map([...checkpoint.tensors, [HEAD, { name: HEAD, dtype: "q4", shape }]]),
      readRows: () => Promise.reject(new Error("there are no exact weights")),
      packed: {
        format: "q4",
        async readRows(name, first, count) {
          const values = name === HEAD ? heads : embedding;
          const { words, scales } = packRows("q4", values.slice(first * 128, (first + count) * 128), 128);
          return { words, scales: scales! };
        },
      },
    });
    await expectTensors(opened(embedding), config);
    const scaled = embedding.map((weight, i) => (i >= 300 * 128 ? 2 * weight : weight));
    await expect(expectTensors(opened(scaled), config)).rejects.toThrow("differs from it in rows 0 to 300");
  });
});
