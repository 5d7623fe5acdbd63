import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { DeviceError, OptionError, ShaderError } from "../../src/errors.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { missingFeatures } from "../../src/gpu/features.ts";
import { together } from "../../src/gpu/part.ts";
import type { Store } from "../../src/host.ts";
import { GEMV_WAYS, type GemvWay } from "../../src/kernels/gemv.ts";
import { allocateMatrix, slabBuffers } from "../../src/kernels/matrix.ts";
import { ARITHMETIC_NEEDS, ARITHMETICS, vectorBytes, vectorOf } from "../../src/kernels/vector.ts";
import { chooseDecode, type Decode, tuneOnce } from "../../src/model/decode.ts";
import { type Subject, Trials } from "../../src/model/trials.ts";
import { type Tuned, tryWays, tune } from "../../src/model/tune.ts";
import { allocateWeights, destroyWeights } from "../../src/model/weights.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { VERSION } from "../../src/version.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { runAndRead, useGpu, withoutDot } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";
import { storeVector } from "../support/vector.ts";

const gpu = useGpu();

/** Three groups of columns, the last of them no pair; in one buffer, as a layer's are. */
const subject = (format: WeightFormat): Subject =>
  together(gpu(), "weights", (take) => ({
    gateUp: allocateMatrix(gpu(), "gate and up", format, 128, 96, take),
    down: allocateMatrix(gpu(), "down", format, 96, 64, take),
    eps: 1e-6,
  }));

/** The ways of the smallest tile, the quickest to compile, which the adapter has. */
const shortWays = () =>
  GEMV_WAYS.filter(
    ({ name, arithmetic }) =>
      name.endsWith(" 4x2") && missingFeatures(ARITHMETIC_NEEDS[arithmetic], gpu().features).length === 0,
  );

describe("tune", () => {
  it("times what agrees, keeps no buffer and leaves the weights empty", async () => {
    const on = subject("q4");
    const before = gpu().allocated;
    const { way, timings } = await tune(() => new Trials(gpu(), on), shortWays(), "one row");
    const names = shortWays().map(({ name }) => name);
    expect(names).toContain(way);
    expect(timings.map(({ way }) => way).sort()).toEqual([...names].sort());
    for (const { ms, dropped } of timings) {
      expect(ms).toBeGreaterThan(0);
      if (dropped) expect(dropped).toContain("times as slow");
    }
    expect(gpu().allocated).toBe(before);
    for (const { slabs } of [on.gateUp, on.down]) {
      for (const buffer of Object.values(slabBuffers(slabs[0]!))) {
        expect((await runAndRead(gpu(), [], buffer)).every((word) => word === 0)).toBe(true);
      }
    }
  });

  it.each(ARITHMETICS)("hands the products a vector as the shaders store it, as %s", async (arithmetic) => {
    const columns = 96;
    const quants = Int8Array.from({ length: columns }, (_, k) => (k % 32 === 5 ? -127 : (k * 37) % 120));
    const values = Float32Array.from(quants, (q) => q / 64);
    const squares = values.reduce((sum, value) => sum + value ** 2, 0);
    const words = vectorOf(arithmetic, quants, () => 1 / 64);
    const { buffer } = storeVector(gpu(), arithmetic, values);
    const stored = (await runAndRead(gpu(), [], buffer)).subarray(0, vectorBytes(arithmetic, columns) / 4);
    expect(words.subarray(0, -4)).toEqual(stored.subarray(0, -4));
    const sums = new Float32Array(words.buffer).subarray(-4);
    expect(sums.reduce((a, b) => a + b)).toBeCloseTo(squares, 3);
    expect(sums[3]).toBe(0);
  });
});

describe("tryWays", () => {
  const ways = GEMV_WAYS.filter(({ name }) => /^(i8|f32) (16x4|8x4)$/.test(name));
  const good = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
  const off = (share: number) => good.map((value, i) => value * (1 + (i % 2 ? share : -share)));

  const attempt = (results: Readonly<Record<string, Float32Array | Error>>, elapsed = 0) =>
    tryWays(
      {
        prepare: async ({ name }: GemvWay) => {
          const result = results[name] ?? good;
          if (result instanceof Error) throw result;
          return { way: name, run: async () => 1, result: async () => result };
        },
      },
      ways,
      () => elapsed,
    );
  const droppedOf = async (...args: Parameters<typeof attempt>) => {
    const { good, dropped } = await attempt(...args);
    expect(good.length + dropped.length).toBe(4);
    return dropped;
  };

  it("drops a way whose result differs from the first f32 one's, which rounding may by more", async () => {
    expect(await droppedOf({ "i8 16x4": off(0.01), "i8 8x4": off(0.011) })).toEqual([]);
    expect(await droppedOf({ "i8 16x4": off(0.1) })).toEqual([
      { way: "i8 16x4", dropped: "wrong: its result is 10 % off" },
    ]);
    expect(await droppedOf({ "f32 8x4": off(0.01) })).toEqual([
      { way: "f32 8x4", dropped: "wrong: its result is 1.0 % off" },
    ]);
    expect(await droppedOf({ "i8 16x4": off(0.01), "i8 8x4": off(-0.01) })).toEqual([
      { way: "i8 8x4", dropped: expect.stringContaining("2.0 % off") },
    ]);
  });

  it("drops a way that gives no numbers or does not compile, and fails as the device does", async () => {
    const nothing = new Float32Array(64);
    const results = { "f32 16x4": nothing, "i8 8x4": off(Number.NaN), "f32 8x4": new ShaderError("no") };
    expect(await droppedOf(results)).toEqual([
      { way: "f32 16x4", dropped: "gives no numbers" },
      { way: "f32 8x4", dropped: "does not compile" },
      { way: "i8 8x4", dropped: "gives no numbers" },
    ]);
    await expect(attempt({ "i8 16x4": new DeviceError("gone") })).rejects.toThrow("gone");
  });

  it("compiles one tile, and no other when the time is over", async () => {
    const late = "not compiled in time";
    expect(await droppedOf({}, 1000)).toEqual([
      { way: "f32 8x4", dropped: late },
      { way: "i8 8x4", dropped: late },
    ]);
  });
});

/** A store in memory, and what it holds. */
function memoryStore() {
  const held = new Map<string, Uint8Array>();
  const store: Store = {
    read: async (name) => held.get(name),
    write: async (name, bytes) => void held.set(name, bytes),
  };
  return { held, store };
}

/** The device as a fresh process sees it, with a store. */
const fresh = (store: Store, changes: Record<string, unknown> = {}): Gpu =>
  Object.create(gpu(), {
    store: { value: store },
    made: { value: new Map() },
    ...Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, { value }])),
  });

describe("a choice", () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const way = shortF32();

  it("is made once a device, and once a store", async () => {
    const on = subject("q4");
    const { held, store } = memoryStore();
    const first = fresh(store);
    const tuned = await tuneOnce(first, on, [way]);
    expect(tuned).toMatchObject({ way: way.name, timings: [{ way: way.name }] });
    expect(await tuneOnce(first, on, [way])).toBe(tuned);
    const [[name, bytes]] = [...held] as [[string, Uint8Array]];
    expect(name).toMatch(/^decode-[0-9a-f]{8}$/);
    expect(JSON.parse(text(bytes)).key).toContain(`["${VERSION}",`);
    expect(JSON.parse(text(bytes)).key).toContain(gpu().info.description);

    // What is in the store is believed, so that a choice that timing would not give again shows that it was read.
    const kept = { ...JSON.parse(text(bytes)), timings: [{ way: way.name, ms: 1234 }] };
    held.set(name, new TextEncoder().encode(JSON.stringify(kept)));
    const { timings } = await tuneOnce(fresh(store), on, [way]);
    expect(timings).toEqual([{ way: way.name, ms: 1234 }]);

    const another = fresh(store, {
      info: { ...gpu().info, description: "Another", isFallbackAdapter: false },
    });
    expect((await tuneOnce(another, on, [way])).timings[0]!.ms).not.toBe(1234);
    expect(held.size).toBe(2);
  });

  it("is made anew where the store is damaged or fails", async () => {
    const on = subject("q4");
    const { held, store } = memoryStore();
    await tuneOnce(fresh(store), on, [way]);
    const [[name, bytes]] = [...held] as [[string, Uint8Array]];
    const whole = JSON.parse(text(bytes));
    const timed = { way: way.name, ms: 1234 };
    const damaged: unknown[] = [
      { ...whole, key: `${whole.key} `, timings: [timed] },
      { ...whole, way: "i8 2x2", timings: [timed] },
      { ...whole, timings: 1 },
      { ...whole, timings: [{ ...timed, ms: "1" }] },
      { ...whole, timings: [null] },
      null,
    ];
    const contents = [...damaged.map((value) => JSON.stringify(value)), text(bytes).slice(0, -5), ""];
    for (const content of contents) {
      held.set(name, new TextEncoder().encode(content));
      const tuned = await tuneOnce(fresh(store), on, [way]);
      expect(tuned.way).toBe(way.name);
      expect(tuned.timings[0]!.ms).toBeTypeOf("number");
      expect(tuned.timings[0]!.ms).not.toBe(1234);
      expect(JSON.parse(text(held.get(name)!)).way).toBe(way.name);
    }
    const failing: Store = {
      read: () => Promise.reject(new Error("no right to read")),
      write: () => {
        throw new Error("no room");
      },
    };
    expect((await tuneOnce(fresh(failing), on, [way])).way).toBe(way.name);
  });
});

function shortF32(): GemvWay {
  return GEMV_WAYS.find(({ name }) => name === "f32 4x2")!;
}

describe("chooseDecode", () => {
  /** On a GPU that is none, whose timing would find `found`; what was a candidate there. */
  async function choose(on: Gpu, format: WeightFormat, found: Tuned | undefined, wanted?: string) {
    const { config } = randomFolder({ num_hidden_layers: 1 }, 7);
    const weights = allocateWeights(gpu(), config, () => format);
    let candidates: string | undefined;
    const once = async (key: string) => {
      candidates = key;
      return found;
    };
    const isFallbackAdapter = found === undefined;
    const asked: Gpu = Object.create(on, {
      once: { value: once },
      info: { value: { ...gpu().info, isFallbackAdapter } },
    });
    try {
      return { decode: await chooseDecode(asked, config, weights, wanted), candidates };
    } finally {
      destroyWeights(weights);
    }
  }
  const timings = [{ way: "f32 8x4", ms: 1 }];
  const found = { way: "f32 8x4", timings };

  it("takes what timing finds, of the arithmetics that rung and format allow", async () => {
    const fused: Decode = { set: "fused", arithmetic: "f32", way: "f32 8x4", timings };
    const core = await choose(withoutDot(gpu()), "q4", found);
    expect(core.decode).toEqual(fused);
    expect(core.candidates).toContain("f32 32x4");
    expect(core.candidates).not.toContain("i8");
    const halves = await choose(gpu(), "f16", found);
    expect(halves.candidates).not.toContain("i8");
    if (gpu().features.has("dot")) {
      expect((await choose(gpu(), "q8", found)).candidates).toContain('"i8 16x4"');
    }
    expect((await choose(gpu(), "f32", found)).decode).toEqual({ set: "plain" });
  });

  it("times nothing on software", async () => {
    const tile = gpu().features.has("narrow") ? "narrow" : "4x2";
    const one = (arithmetic: string) => ({ set: "fused", arithmetic, way: `${arithmetic} ${tile}` });
    const { decode, candidates } = await choose(withoutDot(gpu()), "q4", undefined);
    expect({ decode, candidates }).toEqual({ decode: one("f32"), candidates: undefined });
    if (gpu().features.has("dot")) {
      expect((await choose(gpu(), "q4", undefined)).decode).toEqual(one("i8"));
    }
    expect((await choose(gpu(), "f16", undefined)).decode).toEqual(one("f32"));
    expect((await choose(gpu(), "f32", undefined)).decode).toEqual({ set: "plain" });
  });

  it("takes what it is told to, and refuses by name what cannot be", async () => {
    expect((await choose(gpu(), "q4", found, "plain")).decode).toEqual({ set: "plain" });
    expect(await choose(gpu(), "q4", found, "f32 32x4")).toEqual({
      decode: { set: "fused", arithmetic: "f32", way: "f32 32x4" },
      candidates: undefined,
    });
    await expect(choose(withoutDot(gpu()), "q4", found, "i8 16x4")).rejects.toThrow(
      /decode is "i8 16x4", which this model on .* does not allow; it allows plain, f32 16x2, /,
    );
    await expect(choose(gpu(), "f32", found, "f32 16x4")).rejects.toThrow("it allows plain.");
    const { open } = randomFolder({}, 7);
    const unknown = loadModel(gpu(), open, { decode: "fast" });
    await expect(unknown).rejects.toThrow(OptionError);
    await expect(unknown).rejects.toThrow('decode is "fast"; wanted auto, plain, i8 16x4, ');
    const model = await loadModel(gpu(), open, { decode: "plain", weights: "q8", chunk: 8 });
    expect(model.decoding).toEqual({ set: "plain" });
    model.destroy();
  });
});

it("has the version of package.json", async () => {
  expect(VERSION).toBe(JSON.parse(await readFile("package.json", "utf8")).version);
});
