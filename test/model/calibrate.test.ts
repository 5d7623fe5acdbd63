import { describe, expect, it } from "vitest";
import { PROJECTIONS, signsOf } from "../../src/kernels/sketch.ts";
import { PRINCIPAL, principalDirections } from "../../src/model/directions.ts";
import { columnMomentsOracle, projectOracle, sketchOracle } from "../oracle/linear.ts";
import { llamaOracle } from "../oracle/llama.ts";
import { randomFolder, storedTensors } from "../support/checkpoint.ts";
import { expectClose } from "../support/close.ts";
import { useGpu, withoutDot } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

/** Sums and squares of f32 activations that carry errors of about 1e-5 through two layers. */
const RELATIVE = 1e-4;
/** The same errors, divided by eigenvalues down to a share of the largest. */
const OUTER = 1e-3;

/** One window longer than two chunks with a tail of one, one shorter than a chunk, one of a single token. */
const WINDOWS = [
  Array.from({ length: 33 }, (_, i) => (i * 37 + 11) % 300),
  Array.from({ length: 7 }, (_, i) => (i * 53 + 2) % 300),
  [5],
];

/** Of which the first two are multiplied with the same. */
const [Q, K, GATE] = [
  "model.layers.0.self_attn.q_proj.weight",
  "model.layers.0.self_attn.k_proj.weight",
  "model.layers.0.mlp.gate_proj.weight",
] as const;

/** Σ L Lᵀ of directions [PRINCIPAL, columns]: of those of one length any mixture is as good. */
function outer(directions: Float32Array): Float64Array {
  const columns = directions.length / PRINCIPAL;
  return Float64Array.from({ length: columns ** 2 }, (_, at) => {
    let sum = 0;
    for (let d = 0; d < directions.length; d += columns)
      sum += directions[d + Math.floor(at / columns)]! * directions[d + (at % columns)]!;
    return sum;
  });
}

const gpu = useGpu();

describe.each([
  ["an untied head and GQA", { num_key_value_heads: 2 }],
  ["tied embeddings", { tie_word_embeddings: true, num_hidden_layers: 1 }],
])("calibrate, %s", (_, changes) => {
  it("gives the mean squares, means and directions of every matrix's input as a float64 forward has them", async () => {
    const { config, tensors, open } = randomFolder(changes, 7);
    const model = await loadModel(gpu(), open, { weights: "f32", cache: "f32", chunk: 16 });
    const seen: number[] = [];
    const importance = await model.calibrate(WINDOWS, { onProgress: (tokens) => seen.push(tokens) });
    model.destroy();

    const inputs = new Map<string, number[]>();
    for (const window of WINDOWS) {
      llamaOracle(config, tensors, window, (name, x) => {
        inputs.set(name, [...(inputs.get(name) ?? []), ...x]);
      });
    }
    expect([...importance.keys()].sort()).toEqual([...inputs.keys()].sort());
    for (const [name, x] of inputs) {
      const columns = x.length / 41;
      const moments = columnMomentsOracle(x, columns).map((sum) => sum / 41);
      const found = importance.get(name)!;
      expectClose(found.subarray(0, 2 * columns), moments, { relative: RELATIVE });
      const sketch = sketchOracle(x, projectOracle(x, columns, signsOf, PROJECTIONS), columns, PROJECTIONS);
      const directions = new Float32Array(PRINCIPAL * columns);
      const mean = Float32Array.from(moments.subarray(columns));
      principalDirections(
        mean,
        Float32Array.from(sketch, (sum) => sum / 41),
        directions,
      );
      expect(found.length).toBe((2 + PRINCIPAL) * columns);
      expectClose(outer(found.subarray(2 * columns)), outer(directions), { relative: OUTER });
    }
    expect(importance.get(Q)).toBe(importance.get(K));
    expect(importance.get(Q)).not.toBe(importance.get(GATE));
    expect(seen).toEqual([16, 32, 33, 40, 41]);
  });
});

it("a model loaded with importance has the weights that were chosen by it", async () => {
  const { config, tensors, open } = randomFolder({}, 7);
  const plain = await loadModel(gpu(), open, { weights: "q4", chunk: 16 });
  const importance = await plain.calibrate(WINDOWS);
  plain.destroy();
  const exact = withoutDot(gpu());
  const model = await loadModel(exact, open, { weights: "q4", importance, cache: "f32", chunk: 16 });
  const { logits } = await model.forward(model.open(), WINDOWS[0]!, "logits");
  model.destroy();
  const stored = storedTensors(config, tensors, "q4", importance);
  const wanted = llamaOracle(config, stored, WINDOWS[0]!).subarray(32 * config.vocab_size);
  expectClose(logits, wanted, { relative: RELATIVE });
});

it("calibrate refuses no text, and leaves the model usable when it is aborted", async () => {
  const { open } = randomFolder({ num_hidden_layers: 1 }, 7);
  const model = await loadModel(gpu(), open, { chunk: 16 });
  await expect(model.calibrate([])).rejects.toThrow("at least one token");
  await expect(model.calibrate([[301]])).rejects.toThrow("Token id 301");
  await expect(model.calibrate(WINDOWS, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow(
    "enough",
  );
  expect((await model.forward(model.open(), [1, 2, 3], "argmax")).ids.length).toBe(1);
  model.destroy();
});
