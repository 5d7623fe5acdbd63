import { expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { SPLIT_POSITIONS } from "../../src/kernels/attention-split.ts";
import { LlamaModel } from "../../src/model/model.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import { aheadOf } from "../support/ahead.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { expectClose } from "../support/close.ts";
import { useGpu, withoutDot } from "../support/gpu.ts";

/** As in model.test.ts: the same sums in another order. */
const ORDER = { relative: 1e-4 };

const gpu = useGpu();

/** Beside those of layers: the embedding, the head, choosing among its logits, the next row; and penalties before that. */
const AROUND = { argmax: 4, candidates: 4, "penalised argmax": 5, "penalised candidates": 5 };
const KINDS = Object.keys(AROUND) as (keyof typeof AROUND)[];

/** A device with wide subgroups, or none: what is left of attention in splits on processors. */
const wide = () => {
  const on = withoutDot(gpu());
  const features = new Set([...on.features].filter((feature) => feature !== "narrow"));
  return Object.create(on, { features: { value: features } });
};

it.each(["q4"] as const)(
  "rows that attend whole in five dispatches a layer, and the first in six, agree with plain kernels, with a cache as %s",
  async (cache) => {
    const changes = { num_hidden_layers: 2, num_key_value_heads: 2, max_position_embeddings: 512 };
    const { config, open } = randomFolder(changes, 7);
    const storage = { formatOf: () => "q8" as const, cache, context: 300, chunk: 64 };
    const prompt = Array.from({ length: SPLIT_POSITIONS - 3 }, (_, i) => (i * 37 + 11) % 301);
    const rowsOf = async (decode: string) => {
      const model = await LlamaModel.create(wide(), config, { ...storage, tokenCount: 290, decode });
      await uploadWeights(gpu(), model.weights, await openCheckpoint(open));
      const sequence = model.open();
      await model.forward(sequence, prompt, "argmax");
      const rows: Float32Array[] = [];
      for (let i = 0; i < 6; i++) {
        rows.push((await model.forward(sequence, [7 * i + 3], "logits")).logits.slice());
      }
      sequence.truncate(prompt.length);
      const run = await aheadOf(model, sequence, 3, 6);
      const drawn: number[] = [];
      while (drawn.length < 6) drawn.push((await run.next()).ids[0]!);
      await run.end();
      const { set } = model.decoding;
      const passes = await Promise.all([
        model.passes.decodeAt(SPLIT_POSITIONS - 1),
        model.passes.decodeAt(SPLIT_POSITIONS),
        model.passes.few(4),
      ]);
      const counts = KINDS.map((kind) =>
        passes.map((pass) => pass && (pass.ahead[kind].length - AROUND[kind]) / config.num_hidden_layers),
      );
      model.destroy();
      return { rows, drawn, set, counts };
    };
    const [fused, plain] = [await rowsOf("auto"), await rowsOf("plain")];
    expect([fused.set, plain.set]).toEqual(["fused", "plain"]);
    // At 40 layers 204 or 205 for each token, and 245 at most: a dispatch is most of what a token takes of the host.
    expect(fused.counts).toEqual(KINDS.map(() => [5, 6, 6]));
    for (const [i, row] of fused.rows.entries()) expectClose(row, plain.rows[i]!, ORDER);
    expect(fused.drawn).toEqual(plain.drawn);
  },
);
