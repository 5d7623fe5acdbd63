import { expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import type { LlamaModel } from "../../src/model/model.ts";
import { klDivergence, llamaOracle } from "../oracle/llama.ts";
import { keptValues } from "../support/cache.ts";
import { randomFolder, storedTensors } from "../support/checkpoint.ts";
import { runAndRead, useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

/**
 * Against float64 over a cache that is rounded alike, mean KL: of ten thousands of codes a few are near the middle between two
 * levels and are rounded otherwise in f32.
 */
const KL = 1e-4;
/** What goes into a second layer differs by a code of the first: so many more of its codes may be one level off. */
const OFF = 0.01;

const TOKENS = Array.from({ length: 41 }, (_, i) => (i * 37 + 11) % 300);

const gpu = useGpu();

/** The codes of all layers' keys and values. */
async function codesOf({ state }: LlamaModel, bits: number): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  const { kvHeads, headDim, page, pages } = state.attention;
  const codes = kvHeads * page * pages * headDim;
  for (const buffer of state.layers.flatMap(({ keys, values }) => [keys, values])) {
    const bytes = new Uint8Array((await runAndRead(gpu(), [], buffer)).buffer);
    all.push(
      Uint8Array.from({ length: codes }, (_, i) =>
        bits === 8 ? bytes[i]! : (bytes[i >> 1]! >> (4 * (i % 2))) & 15,
      ),
    );
  }
  return all;
}

it.each([
  ["q4", 4, "heads of one group", { num_key_value_heads: 2 }],
  ["q8", 8, "heads of three", { num_attention_heads: 2, num_key_value_heads: 1, head_dim: 96 }],
] as const)(
  "a model with a KV cache in %s of %i bits, %s, agrees with a float64 forward over such a cache, whole and token by token",
  async (cache, bits, _, heads) => {
    const { config, tensors, open } = randomFolder(heads, 7);
    const { vocab_size: vocab, head_dim: headDim } = config;
    const oracle = llamaOracle(config, storedTensors(config, tensors, "f16"), TOKENS, undefined, (x, of) =>
      keptValues(x, headDim, cache, of),
    );
    const meanKl = (rows: readonly Float32Array[]) =>
      rows.reduce((sum, row, t) => sum + klDivergence(oracle.subarray(t * vocab, (t + 1) * vocab), row), 0) /
      rows.length;
    /** In a model of its own, so that each finds the same pages: its logits are right, and what are its codes? */
    const run = async (decode: string, rowsOf: (model: LlamaModel) => Promise<Float32Array[]>) => {
      const model = await loadModel(gpu(), open, { weights: "f16", cache, decode, chunk: 16 });
      expect(meanKl(await rowsOf(model))).toBeLessThan(KL);
      const codes = await codesOf(model, bits);
      model.destroy();
      return codes;
    };
    const whole = await run("plain", async (model) => {
      const rows: Float32Array[] = [];
      for await (const chunk of model.logits(TOKENS)) {
        for (let at = 0; at < chunk.length; at += vocab) rows.push(chunk.slice(at, at + vocab));
      }
      return rows;
    });
    for (const decode of ["plain", "f32 4x2"]) {
      const single = await run(decode, async (model) => {
        const rows: Float32Array[] = [];
        const sequence = model.open();
        for (const token of TOKENS) {
          rows.push((await model.forward(sequence, [token], "logits")).logits.slice());
        }
        return rows;
      });
      for (const [i, codes] of single.entries()) {
        const off = codes.map((code, at) => Math.abs(code - whole[i]![at]!));
        expect(Math.max(...off)).toBeLessThanOrEqual(1);
        const used = codes.filter((code) => code > 0).length;
        expect(used).toBeGreaterThan(0.5 * TOKENS.length * headDim);
        expect(off.filter((steps) => steps > 0).length).toBeLessThanOrEqual(OFF * used);
      }
    }
  },
);

it("a KV cache in groups of 32 is refused where heads are none, before anything is allocated", async () => {
  const { open } = randomFolder({ num_attention_heads: 2, head_dim: 48 }, 7);
  const before = gpu().allocated;
  for (const cache of ["q8", "q4"] as const) {
    const loading = loadModel(gpu(), open, { cache });
    await expect(loading).rejects.toThrow(ConfigError);
    await expect(loading).rejects.toThrow(
      `A KV cache in ${cache} has heads in groups of 32 values; these have 48. Choose f16.`,
    );
  }
  expect(gpu().allocated).toBe(before);
});
