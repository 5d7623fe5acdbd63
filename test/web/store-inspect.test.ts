import { beforeEach, describe, expect, test } from "vitest";
import { parseConfig } from "../../src/model/config.ts";
import { memoryOf } from "../../src/model/memory.ts";
import type { ModelNeeds } from "../../web/api.ts";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import { convertedFiles, type HostileServer, sha256 } from "../support/hostile-server.ts";
import { STORE, type StoreParts, type StoreTab, serveFiles, useStore } from "../support/store.ts";

expectBrowser();

const SIZES = [300_000, 200_000];
const INDEX = "model.safetensors.index.json";
const CONFIG = JSON.stringify({
  model_type: "llama",
  vocab_size: 1000,
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
});

describe.skipIf(!hasBrowser)("looking at a model", () => {
  let tab: StoreTab;
  let server: HostileServer;
  let total: StoreParts["total"];
  let encoded: StoreParts["encoded"];
  let download: StoreParts["download"];

  useStore((parts) => {
    ({ server, tab, total, encoded, download } = parts);
  });

  beforeEach(() => {
    serveFiles(server, convertedFiles(SIZES));
  });

  const INSPECT = `${STORE} return store.inspect(args.source ?? { files: args.files.map(fileOf) }, args.options);`;

  beforeEach(() => {
    const config = Buffer.from(CONFIG);
    server.files.set("config.json", config);
    const index = JSON.parse(server.files.get(INDEX)!.toString());
    index.metadata.files[0] = { name: "config.json", size: config.length, sha256: sha256(config) };
    server.files.set(INDEX, Buffer.from(JSON.stringify(index)));
  });

  const memory = (context: number) =>
    memoryOf(parseConfig(CONFIG), { formatOf: () => "q4", cache: "f16", context, chunk: 128 });

  test("reads its config and its index, and nothing else", async () => {
    const needs = await tab.run<ModelNeeds>(INSPECT, { source: server.url });
    expect(needs).toMatchObject({
      name: "tiny",
      bytes: total(),
      present: 0,
      weights: "q4",
      context: 512,
      memory: memory(512),
    });
    expect(needs.obstacle).toBeUndefined();
    expect(needs.space.free).toBeGreaterThan(0);
    expect(new Set(server.served.map(({ name }) => name))).toEqual(new Set([INDEX, "config.json"]));
  });

  test("looks past files that the server lets nobody see", async () => {
    const [name, file] = ["model.safetensors", Buffer.from("\x02\0\0\0\0\0\0\0{}")];
    serveFiles(server, [
      ["config.json", Buffer.from(CONFIG)],
      [name, file],
    ]);
    server.wrong = { hidesMissing: true };
    const needs = await tab.run<ModelNeeds>(INSPECT, { source: server.url });
    expect(needs).toMatchObject({ bytes: total(), weights: "f16", memory: { total: expect.any(Number) } });
  });

  test("asks nobody for one that is stored, and counts what is there", async () => {
    await download();
    server.served.length = 0;
    for (const source of [server.url, { stored: "tiny" }]) {
      const needs = await tab.run<ModelNeeds>(INSPECT, { source, options: { context: 64 } });
      expect(needs).toMatchObject({ present: total(), context: 64, memory: memory(64) });
    }
    expect(server.served).toEqual([]);
  });

  test("looks at files where they lie", async () => {
    const needs = await tab.run<ModelNeeds>(INSPECT, { files: encoded() });
    expect(needs).toMatchObject({ bytes: total(), present: total(), weights: "q4" });
  });

  test("tells of a delta what its result will take", async () => {
    const options = { context: 64, pack: "q8" };
    const files = { files: [["config.json", Buffer.from(CONFIG).toString("base64")]], options };
    const needs = await tab.run<ModelNeeds>(INSPECT, files);
    const memory = memoryOf(parseConfig(CONFIG), {
      formatOf: () => "q8",
      cache: "f16",
      context: 64,
      chunk: 128,
    });
    expect(needs).toMatchObject({ weights: "q8", bytes: memory.weights, present: 0, memory });
    const full = await tab.run<ModelNeeds>(
      `navigator.storage.estimate = async () => ({ usage: 99, quota: 100 }); ${INSPECT}`,
      files,
    );
    expect(full.obstacle).toMatch(/ needs .* more, and the browser's storage has /);
  });

  test("says what speaks against it on a device", async () => {
    const gpu = {
      bindingLimit: 100_000,
      info: { vendor: "small", architecture: "", device: "", description: "" },
    };
    const { obstacle } = await tab.run<ModelNeeds>(INSPECT, { source: server.url, options: { gpu } });
    expect(obstacle).toMatch(/ needs a buffer of \d+ bytes; small binds at most 100000\. Choose /);
  });
});
