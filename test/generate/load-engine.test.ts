import { expect, test } from "vitest";
import { folder, ziyaJson } from "../../fixtures/vocabulary.ts";
import { dawnHost, openModel } from "../../node/index.ts";
import { httpFolder } from "../../src/checkpoint/http.ts";
import { bytesSource, type OpenFile, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { CheckpointError, ConfigError, OptionError } from "../../src/errors.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { type EngineOptions, loadEngine, loadText } from "../../src/generate/load-engine.ts";
import type { Host } from "../../src/host.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { fixtureModel } from "../tokenizer/fixtures.ts";

/** Where nothing may be asked for: what these folders have wrong is known before. */
const host: Host = {
  get gpu(): GPU {
    throw new Error("the GPU was asked for");
  },
  readShader: () => Promise.reject(new Error("a shader was asked for")),
};

/** A checkpoint folder in memory. */
function open(files: Record<string, unknown>): OpenFile {
  const read = folder(files);
  return async (name) => {
    const bytes = await read(name);
    return bytes && bytesSource(name, bytes);
  };
}

const text = { "tokenizer.model": fixtureModel("plain") };

test("a chat template that is no Jinja is refused before a device is opened", async () => {
  const files = { ...text, "chat_template.jinja": new TextEncoder().encode("{% for %}") };
  await expect(loadEngine(host, open(files))).rejects.toThrow(ConfigError);
  await expect(loadEngine(host, open(files))).rejects.toThrow("The chat template is no Jinja");
  await expect(loadEngine(host, open(text))).rejects.toThrow("the GPU was asked for");
});

test("a text file that is not UTF-8 is refused by its name", async () => {
  const latin = Uint8Array.from([
    ...new TextEncoder().encode('{"a": "'),
    0xe9,
    ...new TextEncoder().encode('"}'),
  ]);
  for (const name of [
    "chat_template.jinja",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
  ]) {
    const load = loadEngine(host, open({ ...text, [name]: latin }));
    await expect(load).rejects.toThrow(new RegExp(`^${name} is not .*UTF-8`));
  }
});

test("of two chat templates the file of its own counts, and of several the default one", async () => {
  const named = { chat_template: "{{ messages[0].content }}config" };
  const list = {
    chat_template: [
      { name: "tool_use", template: "{{ messages[0].content }}tools" },
      { name: "default", template: "{{ messages[0].content }}default" },
    ],
  };
  const own = { "chat_template.jinja": new TextEncoder().encode("{{ messages[0].content }}file") };
  const chosen = async (files: Record<string, unknown>) =>
    (await loadText(open({ ...text, ...files }))).chatTemplate?.replace(/^.*\}/, "");
  expect(await chosen({})).toBe(undefined);
  expect(await chosen({ "tokenizer_config.json": named })).toBe("config");
  expect(await chosen({ "tokenizer_config.json": list })).toBe("default");
  expect(await chosen({ "tokenizer_config.json": named, ...own })).toBe("file");
});

test("a page that a server sent for the chat template is refused", async () => {
  const page = new TextEncoder().encode("<!doctype html><html><body>Not found</body></html>");
  await expect(loadEngine(host, open({ ...text, "chat_template.jinja": page }))).rejects.toThrow(ConfigError);
});

test("a conversion that was stopped is called one, whatever else its folder lacks", async () => {
  const files = { "model-00001-of-00002.safetensors": {}, [UNFINISHED_INDEX]: {} };
  await expect(loadEngine(host, open(files))).rejects.toThrow(CheckpointError);
  await expect(loadEngine(host, open(files))).rejects.toThrow("a conversion that was stopped");
  // One that was stopped between its last two steps is finished.
  const finished = { ...text, ...files, "model.safetensors.index.json": {} };
  await expect(loadEngine(host, open(finished))).rejects.toThrow("the GPU was asked for");
});

test("white space around special tokens goes, or stays with strip: false", async () => {
  const files = open({ ...text, ...ziyaJson, "added_tokens.json": { "<human>": 600, "<bot>": 601 } });
  const encode = async (options?: EngineOptions) =>
    (await loadText(files, options)).tokenizer.encode("\n<bot>", { special: true });
  const [stripped, kept] = [await encode(), await encode({ strip: false })];
  expect(stripped).toHaveLength(1);
  expect(kept).toEqual([...(await loadText(files)).tokenizer.encode("\n"), ...stripped]);
  expect(await encode({ strip: true })).toEqual(stripped);
  const wrong = { strip: "no" } as unknown as EngineOptions;
  await expect(loadEngine(host, files, wrong)).rejects.toThrow('strip is "no"; wanted true or false.');
});

test("config.json says what ends an answer where there is no generation_config.json", async () => {
  const config = { model_type: "llama", eos_token_id: [2, 7], suppress_tokens: [9] };
  const generation = async (files: Record<string, unknown>) =>
    (await loadText(open({ ...text, ...files }))).generation;
  expect(await generation({})).toEqual({ defaults: CARD_DEFAULTS, eosIds: undefined });
  const alone = await generation({ "config.json": config });
  expect(alone.eosIds).toEqual([2, 7]);
  expect(alone.defaults.suppress_tokens).toEqual(new Set([9]));
  const both = { "config.json": config, "generation_config.json": { eos_token_id: 5 } };
  expect(await generation(both)).toEqual({ defaults: CARD_DEFAULTS, eosIds: [5] });
  await expect(generation({ "config.json": { num_beam_groups: 2 } })).rejects.toThrow(
    "config.json has num_beam_groups 2",
  );
  const beyond = { ...text, "config.json": { eos_token_id: 100_000 } };
  await expect(loadEngine(host, open(beyond))).rejects.toThrow(
    "eos_token_id has 100000; the tokenizer's ids end",
  );
});

test.each([
  [{ speed: 1 }, 'There is no option of loading "speed"; there are adapter, rung, limits, weights,'],
  [{ adapter: 5 }, "adapter is 5; wanted a text."],
  [{ rung: "top" }, 'rung is "top"; wanted core, subgroups, dot, half.'],
  [{ limits: "none" }, 'limits is "none"; wanted adapter, default.'],
  [{ weights: "q5" }, 'weights is "q5"; wanted f32, f16, q8, q4.'],
  [{ cache: "q5" }, 'cache is "q5"; wanted f16, f32, q8, q4.'],
  [{ decode: "fast" }, 'decode is "fast"; wanted auto, plain, i8 16x4, '],
  [{ strip: "no" }, 'strip is "no"; wanted true or false.'],
  [
    { parallel: 5, chunk: 4 },
    "parallel is 5, and each answer has a row of a pass, which has 4 of them; ask for at most 4, or load the model with a chunk of at least 5.",
  ],
  [{ signal: {} }, "signal is {}; wanted an AbortSignal."],
])("the options %j are refused before a file is opened", async (options, message) => {
  const none: OpenFile = () => Promise.reject(new Error("a file was asked for"));
  const load = loadEngine(host, none, options as EngineOptions);
  await expect(load).rejects.toThrow(OptionError);
  await expect(load).rejects.toThrow(message);
});

test("a load that fails ends the reads that ran ahead of the one that failed", async () => {
  const files = openModel();
  let loading = false;
  const signals: AbortSignal[] = [];
  let fail = (_: Response) => {};
  const fetch = async (url: string, { headers, signal }: RequestInit = {}): Promise<Response> => {
    if (loading) {
      if (signals.push(signal!) === 7) fail(new Response(null, { status: 400 }));
      return new Promise((resolve, reject) => {
        if (signals.length === 1) fail = resolve;
        else signal!.addEventListener("abort", () => reject(signal!.reason));
      });
    }
    const file = await files(url.split("/").at(-1)!);
    if (!file) return new Response(null, { status: 404 });
    const [first, last] = /(\d+)-(\d+)/.exec(new Headers(headers).get("range")!)!.slice(1).map(Number) as [
      number,
      number,
    ];
    const bytes = await file.read(first, Math.min(last + 1, file.size) - first);
    const range = `bytes ${first}-${first + bytes.length - 1}/${file.size}`;
    return new Response(Uint8Array.from(bytes), { status: 206, headers: { "content-range": range } });
  };
  const gpuHost = dawnHost();
  const onProgress = () => {
    loading = true;
  };
  const options = { ...testDeviceOptions(), onProgress };
  const failing = loadEngine(gpuHost, httpFolder("https://example.org/model", fetch), options);
  await expect(failing).rejects.toThrow("answered 400");
  expect(signals.map(({ aborted }) => aborted)).toEqual(Array(7).fill(true));
  gpuHost.release();
});
