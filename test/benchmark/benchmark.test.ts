import { afterAll, beforeAll, expect, test } from "vitest";
import { load } from "../../node/index.ts";
import { kernelsOf } from "../../src/benchmark/kernels.ts";
import {
  type BenchmarkReport,
  benchmarkEngine,
  DeviceLostError,
  type Engine,
  type LlamaModel,
} from "../../src/index.ts";
import { packedBytes } from "../../src/kernels/cache.ts";
import { storedBytes } from "../../src/stored.ts";
import { user } from "../support/engine.ts";
import { testDeviceOptions } from "../support/gpu.ts";

/** ziya-tiny's config.json. */
const [DIM, HIDDEN, VOCAB, LAYERS] = [256, 704, 2112, 6];
/** A matrix that a cache holds from one run to the next is read quicker than memory is. */
const MOST_SHARE = 1.5;
const PROMPT = 128;

let engine: Engine<LlamaModel>;
beforeAll(async () => {
  engine = await load({ weights: "q4", ...testDeviceOptions() });
});
afterAll(() => engine?.destroy());

const bytesOf = (rows: number, columns: number) => {
  const { words, scales } = storedBytes("q4", rows, columns);
  return words + scales;
};
const MATRICES = {
  qkv: LAYERS * bytesOf(3 * DIM, DIM),
  out: LAYERS * bytesOf(DIM, DIM),
  "gate and up": LAYERS * bytesOf(2 * HIDDEN, DIM),
  down: LAYERS * bytesOf(DIM, HIDDEN),
  lm_head: bytesOf(VOCAB, DIM),
};

/** The bytes of a pass's kernels that read matrices, by matrix. */
function matrixBytes({ kernels }: BenchmarkReport, pass: "decode" | "prefill") {
  const names = Object.keys(MATRICES);
  const found = kernels.flatMap(({ name, pass: own, bytes }) => {
    const of = names.find((matrix) => name.endsWith(`, ${matrix}`) || name.startsWith(`${matrix} `));
    return own === pass && of ? [[of, bytes] as const] : [];
  });
  return Object.fromEntries(found);
}

test("lists every dispatch of the passes that answers run", () => {
  const { passes, weights, state } = engine.model;
  for (const pass of [passes.decodeAt(PROMPT), passes.decodeAt(500), passes.prefill]) {
    const kernels = kernelsOf(pass, weights, state, PROMPT);
    const labels = kernels.flatMap(({ noted }) => noted.map(({ dispatch }) => dispatch.label));
    expect(labels.sort()).toEqual(pass.draw.argmax.map(({ label }) => label).sort());
  }
});

test("times them while it answers, and leaves nothing behind", async () => {
  const greedy = { temperature: 0 };
  const asked = [user("Which city is the capital of Japan?")];
  const { text } = await engine.chat(asked, greedy).complete();
  const { allocated } = engine.model.gpu;
  const progress: number[] = [];
  let isOver = false;
  const running = benchmarkEngine(engine, "tiny", { onProgress: (done) => progress.push(done) }).finally(
    () => {
      isOver = true;
    },
  );
  expect((await engine.chat(asked, greedy).complete()).text).toBe(text);
  expect(isOver).toBe(false);
  const report = await running;

  expect(progress).toEqual([...progress].sort((a, b) => a - b));
  expect([progress[0]! < 0.2, progress.at(-1)]).toEqual([true, 1]);
  expect(engine.model.gpu.allocated).toBe(allocated);
  // What it ran, nobody takes for a prompt of theirs.
  const again = await engine.chat(asked, greedy).complete();
  expect(again.text).toBe(text);
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  const { kernels, read_bandwidth: bandwidth, decode_tokens_per_second: decode, adapter } = report;
  expect([report.model, adapter.vendor]).toEqual(["tiny", engine.model.adapter.vendor]);
  expect(report.prompt_tokens).toBeGreaterThanOrEqual(32);
  expect(report.prefill_tokens_per_second).toBeGreaterThan(decode);

  expect(matrixBytes(report, "decode")).toEqual(MATRICES);
  expect(matrixBytes(report, "prefill")).toEqual(MATRICES);
  const readers = kernels.filter(({ name, pass }) => pass === "decode" && /^attention (?!merge)/.test(name));
  const shape = engine.model.state.attention;
  expect(readers.map(({ bytes }) => bytes)).toEqual([
    LAYERS * 2 * packedBytes(shape, report.prompt_tokens + 1),
  ]);
  const others = /^(attention merge|embed|rmsnorm|swiglu)/;
  expect(kernels.filter(({ name, bytes }) => others.test(name) && bytes !== null)).toEqual([]);
  const weights = Object.values(MATRICES).reduce((a, b) => a + b);
  expect(report.decode_share).toBeCloseTo((weights * decode) / bandwidth, 6);
  for (const { name, milliseconds, bytes, share, dispatches } of kernels) {
    expect(milliseconds, name).toBeGreaterThan(0);
    expect(dispatches, name).toBeGreaterThan(0);
    if (bytes === null) expect(share, name).toBeNull();
    else {
      expect(share, name).toBeCloseTo((1000 * bytes) / milliseconds / bandwidth, 6);
      expect(share, name).toBeLessThan(MOST_SHARE);
    }
  }
});

test("ends where its signal is aborted", async () => {
  const { allocated } = engine.model.gpu;
  const controller = new AbortController();
  const reason = new Error("enough");
  const onProgress = () => controller.abort(reason);
  await expect(benchmarkEngine(engine, "tiny", { signal: controller.signal, onProgress })).rejects.toBe(
    reason,
  );
  expect(engine.model.gpu.allocated).toBe(allocated);
  expect((await engine.chat([user("3+4")], { temperature: 0 }).complete()).finish_reason).toBe("stop");
});

test("ends where its device is lost, and the engine goes on with another one", async () => {
  const { gpu } = engine.model;
  const onProgress = () => gpu.device.destroy();
  await expect(benchmarkEngine(engine, "tiny", { onProgress })).rejects.toThrow(DeviceLostError);
  expect((await engine.chat([user("3+4")], { temperature: 0 }).complete()).finish_reason).toBe("stop");
  expect(engine.model.gpu).not.toBe(gpu);
});
