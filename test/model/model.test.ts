import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { BusyError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Want } from "../../src/model/language-model.ts";
import type { LoadOptions } from "../../src/model/load-model.ts";
import { LlamaModel } from "../../src/model/model.ts";
import type { Sequence } from "../../src/model/sequence.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import type { FormatOf } from "../../src/model/weights.ts";
import { WEIGHT_FORMATS } from "../../src/stored.ts";
import { klDivergence, llamaOracle } from "../oracle/llama.ts";
import { randomFolder, storedTensors } from "../support/checkpoint.ts";
import { expectClose } from "../support/close.ts";
import { useGpu, withoutDot } from "../support/gpu.ts";
import { loadCheckpoint, loadModel } from "../support/load.ts";

/**
 * Against float64 with everything in f32, mean KL per position: f32 logits carry errors of about 1e-5, and KL goes with
 * their square.
 */
const KL_F32_CACHE = 1e-8;
/** Keys and values rounded to 11 bits. */
const KL_F16_CACHE = 1e-5;
/** What matrices are multiplied with rounded to 8 bits too, of which a random model's outliers cost it 0.8e-2 to 1.1e-2. */
const KL_ROUNDED = 3e-2;
/** Two orders of summation (matrix-vector and tiled) of the same f32 numbers, through every layer. */
const ORDER = { relative: 1e-4 };

/** Prompts longer than a chunk, with a tail of one. */
const TOKENS = Array.from({ length: 41 }, (_, i) => (i * 37 + 11) % 300);

const gpu = useGpu();

/** Heads of the models below that differ in nothing else: a pipeline is compiled once for all of them. */
const GQA = { num_key_value_heads: 2 };

const VARIANTS: Record<string, Record<string, unknown>> = {
  "GQA 4 : 2 with heads of 32": GQA,
  "MHA with heads of 128, wider than the model": { num_attention_heads: 2, head_dim: 128 },
  "GQA 8 : 1, heads of 64 wider than the model": {
    num_attention_heads: 8,
    num_key_value_heads: 1,
    head_dim: 64,
  },
  "linear RoPE scaling": { ...GQA, rope_scaling: { type: "linear", factor: 2 } },
  "tied embeddings and another theta": { ...GQA, tie_word_embeddings: true, rope_theta: 500000 },
  "one layer, a large eps": { ...GQA, num_hidden_layers: 1, rms_norm_eps: 0.1 },
};

async function withModel<T>(
  changes: Record<string, unknown>,
  options: LoadOptions,
  work: (model: LlamaModel, folder: ReturnType<typeof randomFolder>) => Promise<T>,
  on: Gpu = gpu(),
): Promise<T> {
  const folder = randomFolder(changes, 7);
  const model = await loadModel(on, folder.open, options);
  try {
    return await work(model, folder);
  } finally {
    model.destroy();
  }
}

async function allLogits(model: LlamaModel, tokens: readonly number[]): Promise<Float32Array[]> {
  const { vocab_size: vocab } = model.config;
  const rows: Float32Array[] = [];
  for await (const chunk of model.logits(tokens)) {
    for (let at = 0; at < chunk.length; at += vocab) rows.push(chunk.slice(at, at + vocab));
  }
  return rows;
}

function argmax(values: ArrayLike<number>): number {
  return Array.from(values).reduce((best, value, i, all) => (value > all[best]! ? i : best), 0);
}

function expectAgreement(
  rows: readonly Float32Array[],
  wanted: Float64Array,
  vocab: number,
  bound: number,
): void {
  const oracle = rows.map((_, t) => wanted.subarray(t * vocab, (t + 1) * vocab));
  expect(rows.map(argmax)).toEqual(oracle.map(argmax));
  expect(meanKl(rows, wanted, vocab)).toBeLessThan(bound);
}

function meanKl(rows: readonly Float32Array[], wanted: Float64Array, vocab: number): number {
  const of = (row: Float32Array, t: number) => klDivergence(wanted.subarray(t * vocab, (t + 1) * vocab), row);
  return rows.reduce((sum, row, t) => sum + of(row, t), 0) / rows.length;
}

describe.each(Object.entries(VARIANTS))("a random LLaMA, %s", (_, changes) => {
  it("agrees with a float64 forward", async () => {
    await withModel(
      changes,
      { weights: "f32", cache: "f32", chunk: 16 },
      async (model, { config, tensors }) => {
        const rows = await allLogits(model, TOKENS);
        expect(rows.length).toBe(TOKENS.length);
        expectAgreement(rows, llamaOracle(config, tensors, TOKENS), config.vocab_size, KL_F32_CACHE);
      },
    );
  });

  it("agrees with its own decode, token by token", async () => {
    await withModel(changes, { weights: "f32", cache: "f32", chunk: 16 }, async (model) => {
      const rows = await allLogits(model, TOKENS);
      const sequence = model.open();
      for (const [t, token] of TOKENS.entries()) {
        const { logits } = await model.forward(sequence, [token], "logits");
        expectClose(logits, rows[t]!, ORDER);
      }
    });
  });
});

describe("stored narrow", () => {
  it.each(WEIGHT_FORMATS)("weights as %s and an f16 cache agree with float64", async (weights) => {
    // The set `plain` rounds nothing that it multiplies with.
    await withModel(GQA, { weights, chunk: 24, decode: "plain" }, async (model, { config, tensors }) => {
      const stored = storedTensors(config, tensors, weights);
      const rows = await allLogits(model, TOKENS);
      expectAgreement(rows, llamaOracle(config, stored, TOKENS), config.vocab_size, KL_F16_CACHE);
    });
  });

  it.each(["q8", "q4"] as const)(
    "weights as %s agree with float64 as they are run by default",
    async (weights) => {
      await withModel(GQA, { weights, chunk: 16 }, async (model, { config, tensors }) => {
        const wanted = llamaOracle(config, storedTensors(config, tensors, weights), TOKENS);
        const rows = await allLogits(model, TOKENS);
        expect(meanKl(rows, wanted, config.vocab_size)).toBeLessThan(KL_ROUNDED);
        // Token by token they are others' kernels, which round alike.
        const sequence = model.open();
        const decoded: Float32Array[] = [];
        for (const token of TOKENS) {
          decoded.push((await model.forward(sequence, [token], "logits")).logits.slice());
        }
        expect(meanKl(decoded, wanted, config.vocab_size)).toBeLessThan(KL_ROUNDED);
      });
    },
  );
});

it("stores each matrix in a format of its own, where it is asked to", async () => {
  const { config, tensors, open } = randomFolder(GQA, 7);
  const formatOf: FormatOf = (name) =>
    name.includes("embed") ? "q8" : name.includes("mlp.down") ? "f32" : name.includes("mlp") ? "q4" : "f16";
  const storage = { formatOf, cache: "f16", context: 64, chunk: 16, tokenCount: config.vocab_size } as const;
  const model = await LlamaModel.create(gpu(), config, storage);
  await uploadWeights(gpu(), model.weights, await openCheckpoint(open));
  const wanted = llamaOracle(config, storedTensors(config, tensors, formatOf), TOKENS);
  expectAgreement(await allLogits(model, TOKENS), wanted, config.vocab_size, KL_F16_CACHE);
  model.destroy();
  const torn: FormatOf = (name) => (name.includes("k_proj") ? "q8" : "f16");
  await expect(LlamaModel.create(gpu(), config, { ...storage, formatOf: torn })).rejects.toThrow(
    "are stored as one matrix; asked for f16, q8, f16",
  );
});

/** As shipped: chunks of 128, and a context of 2,048 that is mostly full. */
describe("one layer at the shipped scale, after 1,500 tokens", () => {
  const changes = { ...GQA, num_hidden_layers: 1, max_position_embeddings: 2048 };
  const long = Array.from({ length: 1500 }, (_, i) => (i * 37 + (i >> 5) * 11 + 11) % 301);
  /** The last rows, which see the most: more than a chunk of them, and those that are decoded too. */
  const LAST = 140;
  const DECODED = 12;

  it("agrees with a float64 forward and with its own decode", async () => {
    const options = { weights: "f32", cache: "f32" } as const;
    await withModel(changes, options, async (model, { config, tensors }) => {
      const rows = (await allLogits(model, long)).slice(-LAST);

      const wanted = llamaOracle(config, tensors, long).subarray(-LAST * config.vocab_size);
      expectAgreement(rows, wanted, config.vocab_size, KL_F32_CACHE);
      const sequence = model.open();
      await model.forward(sequence, long.slice(0, -DECODED), "argmax");
      for (let back = DECODED; back > 0; back--) {
        const { logits } = await model.forward(sequence, [long.at(-back)!], "logits");
        expectClose(logits, rows.at(-back)!, ORDER);
      }
    });
  });
});

it.each(["f16", "q8"] as const)(
  "a prompt of 2,000 tokens as %s leaves the same bits in chunks as whole",
  async (weights) => {
    const changes = { ...GQA, num_hidden_layers: 1, max_position_embeddings: 2048 };
    const long = Array.from({ length: 2000 }, (_, i) => (i * 37 + (i >> 5) * 11 + 11) % 301);
    const logits: Float32Array[] = [];
    for (const chunk of [2000, 128, 77]) {
      await withModel(changes, { weights, chunk }, async (model) => {
        const sequence = model.open();
        sequence.reserve(long.length);
        for (let first = 0; first < long.length; first += chunk) {
          const count = Math.min(chunk, long.length - first);
          const part = { sequence, tokens: long, first, count, drawn: first + count === long.length ? 1 : 0 };
          const [drawn] = await model.run([part], "logits", "prefill");
          if (drawn) logits.push(drawn.logits.slice());
        }
      });
    }
    expect(logits[1]).toEqual(logits[0]);
    expect(logits[2]).toEqual(logits[0]);
    expect(new Set(logits[0]).size).toBeGreaterThan(100);
  },
);

describe("the cache", () => {
  it("gives the same after a sequence was cut as from the start", async () => {
    await withModel(GQA, { chunk: 16 }, async (model) => {
      const sequence = model.open();
      const fresh = (await model.forward(sequence, TOKENS, "logits")).logits.slice();
      sequence.truncate(0);
      await model.forward(sequence, [...TOKENS.slice(0, 20), 5, 6, 7], "argmax");
      sequence.truncate(20);
      const again = await model.forward(sequence, TOKENS.slice(20), "logits");
      expectClose(again.logits, fresh, ORDER);
      expect(sequence.tokens).toEqual(TOKENS);
    });
  });

  it("gives two sequences, token by token in turns, the bits that each gives alone", async () => {
    const texts = [TOKENS, TOKENS.map((id) => (id * 7 + 3) % 300)] as const;
    await withModel(GQA, { chunk: 16 }, async (model) => {
      const run = (sequence: Sequence, ids: readonly number[]) => model.forward(sequence, ids, "logits");
      const alone: Float32Array[][] = [];
      for (const text of texts) {
        const sequence = model.open();
        const rows: Float32Array[] = [];
        for (const id of text) rows.push((await run(sequence, [id])).logits.slice());
        sequence.discard();
        alone.push(rows);
      }
      const [first, second] = [model.open(), model.open()];
      for (const t of TOKENS.keys()) {
        expect((await run(first, [texts[0][t]!])).logits).toEqual(alone[0]![t]);
        expect((await run(second, [texts[1][t]!])).logits).toEqual(alone[1]![t]);
      }
    });
  });

  it("keeps a sequence through logits and calibration, which have their own", async () => {
    await withModel(GQA, { chunk: 16 }, async (model) => {
      const whole = (await model.forward(model.open(), TOKENS, "logits")).logits.slice();
      const sequence = model.open();
      await model.forward(sequence, TOKENS.slice(0, 30), "argmax");
      await allLogits(model, TOKENS.toReversed());
      await model.calibrate([TOKENS.toReversed()]);
      const again = await model.forward(sequence, TOKENS.slice(30), "logits");
      expectClose(again.logits, whole, ORDER);
    });
  });

  it("refuses tokens that do not fit, and changes nothing", async () => {
    await withModel(GQA, { chunk: 16 }, async (model) => {
      const sequence = model.open();
      const full = Array.from({ length: 6 }, () => TOKENS).flat();
      await model.forward(sequence, full, "argmax");
      await expect(model.forward(sequence, TOKENS.slice(0, 11), "argmax")).rejects.toThrow(
        "11 tokens after the 246 in the cache make 257; the context holds 256",
      );
      expect(sequence.length).toBe(246);
      await model.forward(sequence, TOKENS.slice(0, 10), "argmax");
      expect(() => sequence.truncate(257)).toThrow("it holds 256");
    });
  });

  it("runs one pass at a time, and says so", async () => {
    await withModel(GQA, { chunk: 16 }, async (model) => {
      const [first, second] = [model.open(), model.open()];
      const running = model.forward(first, TOKENS, "argmax");
      await expect(model.forward(second, [1], "argmax")).rejects.toThrow(BusyError);
      await expect(model.calibrate([TOKENS])).rejects.toThrow("await it before the next one");
      await running;
      expect([first.length, second.length]).toEqual([TOKENS.length, 0]);
      await model.forward(second, [1], "argmax");
    });
  });

  it("stops between chunks when aborted, and keeps the chunks that ran", async () => {
    await withModel(GQA, { chunk: 16 }, async (model) => {
      const abort = new AbortController();
      const sequence = model.open();
      const pending = model.forward(sequence, TOKENS, "argmax", abort.signal);
      abort.abort(new Error("enough"));
      await expect(pending).rejects.toThrow("enough");
      expect(sequence.length).toBe(16);
    });
  });
});

describe("what is read back", () => {
  it("is the same choice in all three forms, with padding rows masked", async () => {
    await withModel(GQA, { chunk: 16, tokenCount: 290 }, async (model) => {
      for (const prompt of [TOKENS, TOKENS.slice(3, 20), [1]]) {
        const run = async (want: Want) => {
          const sequence = model.open();
          const candidates = await model.forward(sequence, prompt, want);
          sequence.discard();
          return candidates;
        };
        const all = await run("logits");
        expect(all.ids.length).toBe(290);
        const best = await run("argmax");
        expect([...best.ids]).toEqual([argmax(all.logits)]);
        const top = await run("candidates");
        const sorted = [...all.ids].sort((a, b) => all.logits[b]! - all.logits[a]! || a - b).slice(0, 64);
        expect([...top.ids]).toEqual(sorted);
        expect([...top.logits]).toEqual(sorted.map((id) => all.logits[id]));
      }
    });
  });

  it("never names a padding row, even where it has the largest logit", async () => {
    const folder = randomFolder(GQA, 7);
    const first = await loadModel(gpu(), folder.open, { chunk: 16 });
    const [winner] = (await first.forward(first.open(), TOKENS, "argmax")).ids;
    first.destroy();
    const masked = await loadModel(gpu(), folder.open, { chunk: 16, tokenCount: winner! });
    for (const want of ["argmax", "candidates", "logits"] as const) {
      const { ids } = await masked.forward(masked.open(), TOKENS, want);
      expect(Math.max(...ids)).toBeLessThan(winner!);
    }
    masked.destroy();
  });
});

it("refuses ids that are not in the vocabulary, and no tokens at all", async () => {
  await withModel(GQA, { chunk: 16 }, async (model) => {
    await expect(model.forward(model.open(), [301], "argmax")).rejects.toThrow(
      "Token id 301 is not in the vocabulary of 301.",
    );
    await expect(model.forward(model.open(), [], "argmax")).rejects.toThrow("at least one token");
  });
});

it("refuses a norm with a weight that is no number", async () => {
  const { config, open } = randomFolder({}, 1);
  const checkpoint = await openCheckpoint(open);
  const name = "model.layers.1.post_attention_layernorm.weight";
  const broken: Checkpoint = {
    ...checkpoint,
    readRows: async (tensor, first, count) => {
      const rows = await checkpoint.readRows(tensor, first, count);
      if (tensor === name) rows[3] = Number.NaN;
      return rows;
    },
  };
  await expect(loadCheckpoint(gpu(), config, broken, { chunk: 16 })).rejects.toThrow(
    `${name} in model.safetensors: The weight at row 3 is NaN`,
  );
});

// 301 rows of 128 weights in slabs of 192 and 109 rows; logits of every token, three rows at a time.
it.each([
  ["binding", { bindingLimit: { value: 25_000 } }],
  ["grid", { workgroupLimit: { value: 48 } }],
] as const)("splits the embedding and the head where the %s limit asks for it", async (_, limit) => {
  const small: Gpu = Object.create(withoutDot(gpu()), limit);
  const changes = { num_hidden_layers: 1, num_key_value_heads: 1, intermediate_size: 96 };
  await withModel(
    changes,
    { weights: "q8", chunk: 8, context: 48 },
    async (model, { config, tensors }) => {
      const { embed, head } = model.weights;
      for (const { slabs } of [embed, head]) expect(slabs.map(({ rows }) => rows)).toEqual([192, 109]);
      const stored = storedTensors(config, tensors, "q8");
      const rows = await allLogits(model, TOKENS);
      expectAgreement(rows, llamaOracle(config, stored, TOKENS), config.vocab_size, KL_F16_CACHE);
    },
    small,
  );
});
