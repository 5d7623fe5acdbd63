import { describe, expect, it } from "vitest";
import { DeviceError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Store } from "../../src/host.ts";
import { productWays } from "../../src/kernels/product.ts";
import { wayLabel } from "../../src/kernels/way.ts";
import { choosePrefill } from "../../src/model/prefill.ts";
import { type PrefillSubject, PrefillTrials } from "../../src/model/prefill-trials.ts";
import { Rows } from "../../src/model/rows.ts";
import { createActivations, destroyActivations } from "../../src/model/sets/plain.ts";
import { type Tuned, tryWays } from "../../src/model/tune.ts";
import { allocateWeights, destroyWeights } from "../../src/model/weights.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { expectClose } from "../support/close.ts";
import { runAndRead, useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

/** As in model.test.ts: the same sums in another order. */
const ORDER = { relative: 1e-4 };

const gpu = useGpu();

/** Runs `use` on the buffers of a model of one layer. */
async function withSubject<T>(
  format: WeightFormat,
  use: (subject: PrefillSubject, buffers: readonly GPUBuffer[]) => T | Promise<T>,
  tokens = 40,
): Promise<T> {
  const { config } = randomFolder({ num_hidden_layers: 1 }, 7);
  const weights = allocateWeights(gpu(), config, () => format);
  const activations = createActivations(gpu(), config, tokens);
  const rows = new Rows(gpu(), tokens);
  const { gateUp, down } = weights.layers[0]!;
  try {
    const buffers = new Set<GPUBuffer>(Object.values(activations));
    for (const { slabs } of [gateUp, down]) for (const { weight } of slabs) buffers.add(weight.buffer);
    return await use({ gateUp, down, rows, activations }, [...buffers]);
  } finally {
    destroyWeights(weights);
    destroyActivations(activations);
    rows.destroy();
  }
}

describe("PrefillTrials", () => {
  it("runs ways to results that agree, and leaves all that it wrote to empty", async () => {
    const before = gpu().allocated;
    await withSubject("q8", async (subject, buffers) => {
      const own = gpu().allocated;
      const trials = new PrefillTrials(gpu(), subject);
      // The first and the second by rule: the others take seconds to compile.
      const ways = productWays(gpu(), subject.gateUp, true).slice(0, 2);
      const { good, dropped } = await tryWays(trials, ways, () => 0);
      expect(dropped).toEqual([]);
      expect(good.map(({ way }) => way).sort()).toEqual(ways.map(({ name }) => name).sort());
      expect(await good[0]!.run(2)).toBeGreaterThan(0);
      const left = new Float32Array((await runAndRead(gpu(), [], subject.activations.x)).buffer);
      // The last row of a chunk too.
      expect(left.subarray(-128).every((value) => Number.isFinite(value) && value !== 0)).toBe(true);
      trials.end();
      for (const buffer of buffers) {
        expect((await runAndRead(gpu(), [], buffer)).every((word) => word === 0)).toBe(true);
      }
      expect(gpu().allocated).toBe(own);
    });
    expect(gpu().allocated).toBe(before);
  });
});

describe("choosePrefill", () => {
  /** The device with other features, as another kind of adapter, as a fresh process sees it. */
  const another = (
    changes: Record<string, unknown>,
    features: readonly string[],
    isFallbackAdapter: boolean,
  ): Gpu =>
    Object.create(gpu(), {
      features: { value: new Set(features) },
      info: { value: { ...gpu().info, isFallbackAdapter } },
      made: { value: new Map() },
      wrong: { value: new Map() },
      ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, { value }])),
    });
  const CARD = ["subgroups", "dot"];

  it("takes what timing finds on a card, of the ways that decoding's rounding allows", async () => {
    const found: Tuned = { way: "f32 matmul", timings: [{ way: "f32 matmul", ms: 1 }] };
    const keys: string[] = [];
    const once = async (key: string) => {
      keys.push(key);
      return found;
    };
    await withSubject("q8", async (subject) => {
      const card = another({ once }, [...CARD, "f16", "matrix16"], false);
      expect(await choosePrefill(card, subject, true)).toEqual(found);
      expect(await choosePrefill(card, subject, false)).toEqual(found);
      expect(keys[0]).toContain('["f16 matrix 16","i8 tiles","f32 matmul"]');
      expect(keys[1]).toContain('["f16 matrix 16","f32 matmul"]');
      // Nothing is timed where nothing is to be chosen.
      expect(await choosePrefill(another({ once }, [], false), subject, false)).toEqual({
        way: "f32 matmul",
      });
      expect(keys.length).toBe(2);
    });
  });

  it("times nothing on software unless asked to, and knows it then in the next process", async () => {
    const held = new Map<string, Uint8Array>();
    const store: Store = {
      read: async (name) => held.get(name),
      write: async (name, bytes) => void held.set(name, bytes),
    };
    const features = [...gpu().features].filter(
      (feature) => feature !== "dot" && !feature.startsWith("matrix"),
    );
    const software = () => another({ store }, features, true);
    await withSubject("f16", async (subject) => {
      const ways = productWays(software(), subject.gateUp, false).map(({ name }) => name);
      expect(await choosePrefill(software(), subject, false)).toEqual({ way: ways[0] });
      expect(held.size).toBe(0);
      if (ways.length < 2) return;
      const { way, timings } = await choosePrefill(software(), subject, false, "timed");
      expect(ways).toContain(way);
      expect(timings!.map((timing) => timing.way).sort()).toEqual([...ways].sort());
      for (const { ms } of timings!) expect(ms).toBeGreaterThan(0);
      const [[name, bytes]] = [...held] as [[string, Uint8Array]];
      expect(name).toMatch(/^prefill-[0-9a-f]{8}$/);
      // What is in the store is believed, so that a choice that the rule would not give shows that it was read.
      const kept = { way: ways[1]!, timings: [{ way: ways[1]!, ms: 1234 }] };
      const whole = { ...JSON.parse(new TextDecoder().decode(bytes)), ...kept };
      held.set(name, new TextEncoder().encode(JSON.stringify(whole)));
      expect(await choosePrefill(software(), subject, false)).toEqual(kept);
      await withSubject(
        "f16",
        async (shorter) => {
          expect(await choosePrefill(software(), shorter, false)).toEqual({ way: ways[0] });
        },
        8,
      );
    });
  });

  it("takes what it is told to, and refuses by name what cannot be", async () => {
    await withSubject("q8", async (subject) => {
      const card = another({}, CARD, false);
      expect(await choosePrefill(card, subject, false, "i8 tiles")).toEqual({ way: "i8 tiles" });
      await expect(choosePrefill(card, subject, true, "f32 narrow")).rejects.toThrow(
        /prefill is "f32 narrow", which this model on .* does not allow; it allows i8 tiles, f32 matmul\./,
      );
      card.wrong.set(wayLabel("linear of quads", "tiles"), "off by 3 %");
      const refused = choosePrefill(card, subject, true, "i8 tiles");
      await expect(refused).rejects.toThrow(DeviceError);
      await expect(refused).rejects.toThrow(
        "tiles (off by 3 %). Leave prefill out: what is right is taken then.",
      );
    });
  });
});

it("a model runs prompts as it is told to, by whatever way to the same logits", async () => {
  const { open } = randomFolder({ num_hidden_layers: 1 }, 7);
  await expect(loadModel(gpu(), open, { prefill: "fast" })).rejects.toThrow(
    'prefill is "fast"; wanted auto, timed, i8 narrow, ',
  );
  const prompt = [5, 9, 2, 250, 17];
  const run = async (prefill: string) => {
    const model = await loadModel(gpu(), open, { weights: "f16", decode: "plain", chunk: 8, prefill });
    const { logits } = await model.forward(model.open(), prompt, "logits");
    const labels = model.passes.prefill.draw.argmax.map(({ label }) => label);
    const products = [...new Set(labels.filter((label) => label.startsWith("linear")))];
    const left = { logits: logits.slice(), way: model.prefilling.way, products };
    model.destroy();
    return left;
  };
  const chosen = await run("auto");
  expect(await run(chosen.way)).toEqual(chosen);
  const tiles = await run("f32 matmul");
  expect([tiles.way, tiles.products]).toEqual(["f32 matmul", [wayLabel("linear", "matmul")]]);
  expect(chosen.products).toEqual([wayLabel("linear", chosen.way.replace("f32 ", ""))]);
  expectClose(tiles.logits, chosen.logits, ORDER);
});
