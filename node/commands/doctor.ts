import { DeviceError } from "../../src/errors.ts";
import { describeAdapter, listAdapters } from "../../src/gpu/adapter.ts";
import { type Gpu, openDevice } from "../../src/gpu/device.ts";
import { presetOf } from "../../src/gpu/features.ts";
import { CACHE_FORMATS, type CacheFormat } from "../../src/kernels/cache.ts";
import { type Checked, describeWrongWays } from "../../src/model/check/checked.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { chooseDecode, type Decode } from "../../src/model/decode.ts";
import { CHUNK } from "../../src/model/load-model.ts";
import { memoryOf, type Storage } from "../../src/model/memory.ts";
import { LlamaModel } from "../../src/model/model.ts";
import { rounds } from "../../src/model/passes.ts";
import { knownPrefill, type Prefill } from "../../src/model/prefill.ts";
import type { Timing } from "../../src/model/timing.ts";
import { allocateWeights, destroyWeights, tensorShapes } from "../../src/model/weights.ts";
import { showBytes } from "../../src/show.ts";
import { GROUP_SIZE, storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { dawnHost, systemMemory } from "../host.ts";
import { type Command, print } from "./command.ts";
import { DEVICE_FLAGS, deviceOptions, JSON_FLAG } from "./engine.ts";

/** Ziya-LLaMA-13B-v1's config.json, as far as sizes depend on it. */
const ZIYA_13B = parseConfig(
  JSON.stringify({
    architectures: ["LlamaForCausalLM"],
    hidden_size: 5120,
    intermediate_size: 13824,
    max_position_embeddings: 2048,
    num_attention_heads: 40,
    num_hidden_layers: 40,
    rms_norm_eps: 1e-6,
    vocab_size: 39424,
  }),
);

const FORMATS: readonly WeightFormat[] = WEIGHT_FORMATS.filter((format) => format !== "f32").toReversed();

/** Limits that a compute pass can run into. */
const COMPUTE_LIMIT = /Compute|Buffer|BindGroup|Bindings|Immediate/;

export const doctor: Command = {
  usage: "doctor",
  summary: "Tell what WebGPU offers here, and what a 13B model would need of it.",
  details: "",
  flags: { ...DEVICE_FLAGS, ...JSON_FLAG },
  positionals: 0,
  async run({ values, io }) {
    const host = dawnHost();
    try {
      const adapters = (await listAdapters(host)).map(({ info }) => describeAdapter(info));
      const gpu = await openDevice(host, deviceOptions(values));
      try {
        const findings = { ...examine(gpu, adapters), ...(await tryKernels(gpu)) };
        return await print({ values, io }, findings, describe(findings));
      } finally {
        gpu.destroy();
      }
    } finally {
      host.release();
    }
  },
};

function examine(gpu: Gpu, adapters: readonly string[]) {
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype: they are not among an object's own keys.
  for (const name in gpu.adapter.limits) {
    const value: unknown = Reflect.get(gpu.adapter.limits, name);
    if (typeof value === "number") limits[name] = value;
  }
  return {
    adapters,
    adapter: describeAdapter(gpu.info),
    software: gpu.info.isFallbackAdapter,
    rung: presetOf(gpu.features),
    features: [...gpu.adapter.features].sort(),
    features_in_use: [...gpu.device.features].sort(),
    limits,
    binding_limit_bytes: gpu.bindingLimit,
    system_memory_bytes: systemMemory,
    ziya_13b: FORMATS.map((format) => needs(ZIYA_13B, format, gpu.bindingLimit)),
    ziya_13b_cache_bytes: Object.fromEntries(
      CACHE_FORMATS.map((cache) => [cache, memoryOf(ZIYA_13B, storage(ZIYA_13B, "q4", cache)).cache]),
    ),
  };
}

/** What was found out by running kernels. */
interface Tried {
  /** What one layer of a 13B model in q4 is decoded with, timed on its matrices but on software; or why it is not told. */
  readonly decode: Decode | { readonly failed: string };
  /** What its prompts are multiplied with, likewise. */
  readonly prefill?: Prefill;
  /** How far off the kernels are; none on software, where compiling them takes longer than a doctor should. */
  readonly checked: readonly Checked[];
}

/** @param config Of a model of one layer; the vocabulary's matrices are not timed. */
export async function tryKernels(
  gpu: Gpu,
  config: Config = { ...ZIYA_13B, num_hidden_layers: 1, vocab_size: GROUP_SIZE },
): Promise<Tried> {
  try {
    return await gpu.guarded("Trying the kernels", async () => {
      if (!gpu.info.isFallbackAdapter) {
        const options = { ...storage(config, "q4", "f16"), tokenCount: config.vocab_size, check: true };
        const model = await LlamaModel.create(gpu, config, options);
        model.destroy();
        return { decode: model.decoding, prefill: model.prefilling, checked: model.checked };
      }
      const weights = gpu.allOrNone(() => allocateWeights(gpu, config, () => "q4"));
      try {
        const decode = await chooseDecode(gpu, config, weights);
        const { gateUp, down } = weights.layers[0]!;
        const sizes = { gateUp, down, rows: { capacity: CHUNK } };
        return { decode, prefill: await knownPrefill(gpu, sizes, rounds(decode)), checked: [] };
      } finally {
        destroyWeights(weights);
      }
    });
  } catch (error) {
    if (error instanceof DeviceError) return { decode: { failed: error.message }, checked: [] };
    throw error;
  }
}

/** What a model of `config` takes, in bytes, with a KV cache in f16 of its whole context. */
function needs(config: Config, format: WeightFormat, bindingLimit: number) {
  const { weights, cache, total } = memoryOf(config, storage(config, format, "f16"));
  const matrices = Array.from(tensorShapes(config).values(), ([rows, columns]) =>
    columns === undefined ? 0 : storedBytes(format, rows!, columns).words,
  );
  const largest = Math.max(...matrices);
  return {
    weights: format,
    weight_bytes: weights,
    cache_bytes: cache,
    cache_bytes_per_token: cache / config.max_position_embeddings,
    total_bytes: total,
    largest_matrix_bytes: largest,
    // Matrices are split by rows into as many bindings as it takes.
    largest_matrix_bindings: Math.ceil(largest / bindingLimit),
  };
}

function storage(config: Config, format: WeightFormat, cache: CacheFormat): Storage {
  return { formatOf: () => format, cache, context: config.max_position_embeddings, chunk: CHUNK };
}

type Findings = ReturnType<typeof examine> & Tried;

function describe(found: Findings): string {
  const names = Object.keys(found.limits).filter((name) => COMPUTE_LIMIT.test(name));
  const width = Math.max(...names.map((name) => name.length)) + 2;
  const lines = [
    `adapter   ${found.adapter}${found.software ? ", software" : ""}`,
    ...(found.adapters.length > 1
      ? [`others    ${found.adapters.filter((a) => a !== found.adapter).join(", ")}`]
      : []),
    `rung      ${found.rung}`,
    `features  ${found.features.join(", ") || "none"}`,
    `in use    ${found.features_in_use.join(", ") || "none"}`,
    "limits",
    ...names.map((name) => `  ${name.padEnd(width)}${found.limits[name]}`),
    "",
    `Ziya-LLaMA-13B with a full KV cache of ${ZIYA_13B.max_position_embeddings} tokens would need`,
    ...found.ziya_13b.map((need) => `  ${describeNeeds(need, found)}`),
    `The cache as ${Object.entries(found.ziya_13b_cache_bytes)
      .map(([cache, bytes]) => `${cache} ${showBytes(bytes)}`)
      .join(", ")}: --kv chooses.`,
    found.software
      ? `A software adapter takes it from the machine's ${showBytes(found.system_memory_bytes)} of memory.`
      : "WebGPU does not tell how much memory an adapter has; compare with the graphics card's.",
    "",
    ...describeDecode(found.decode),
    ...describePrefill(found.prefill),
    ...describeChecked(found.checked),
  ];
  return lines.join("\n");
}

function describeNeeds(need: ReturnType<typeof needs>, found: ReturnType<typeof examine>): string {
  const { weights, total_bytes: total, largest_matrix_bindings: bindings } = need;
  const tooMuch = found.software && total > found.system_memory_bytes;
  return (
    `${weights.padEnd(5)}${showBytes(total)}: weights ${showBytes(need.weight_bytes)}, cache ${showBytes(need.cache_bytes)} ` +
    `(${need.cache_bytes_per_token} bytes a token); its largest matrix, ${showBytes(need.largest_matrix_bytes)}, takes ` +
    `${bindings} ${bindings === 1 ? "binding" : "bindings"} of at most ${showBytes(found.binding_limit_bytes)}` +
    (tooMuch ? "; more than there is" : "")
  );
}

/** How far kernels were off from known results, and which are done without. */
export function describeChecked(checked: readonly Checked[]): string[] {
  if (checked.length === 0) return ["Kernels are held to known results when a model is loaded."];
  const wrong = describeWrongWays(checked);
  return [
    `Of ${checked.length} kernels that were held to known results, ${wrong.length} were wrong.`,
    ...wrong,
  ];
}

export function describeDecode(decode: Findings["decode"]): string[] {
  if ("failed" in decode) return [`Its kernels could not be tried: ${decode.failed}`];
  const name = decode.set === "plain" ? "plain" : decode.way;
  const timings = decode.set === "plain" ? undefined : decode.timings;
  return describeChoice(`Stored as q4 it would decode with ${name}`, timings);
}

export function describePrefill(prefill: Prefill | undefined): string[] {
  if (!prefill) return [];
  return describeChoice(`Its prompts would be multiplied with ${prefill.way}`, prefill.timings);
}

function describeChoice(sentence: string, timings: readonly Timing[] | undefined): string[] {
  if (!timings) return [`${sentence}, by rule: nothing is timed on this adapter.`];
  const width = Math.max(...timings.map(({ way }) => way.length)) + 2;
  return [
    `${sentence}, by timing two of a layer's matrices`,
    ...timings.map(({ way, ms, dropped }) => {
      const time = ms === undefined ? "" : `${ms.toFixed(3)} ms`;
      return `  ${way.padEnd(width)}${[time, dropped].filter(Boolean).join(", ")}`;
    }),
  ];
}
