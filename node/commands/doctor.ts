import { describeAdapter, listAdapters } from "../../src/gpu/adapter.ts";
import { type Gpu, openDevice } from "../../src/gpu/device.ts";
import { presetOf } from "../../src/gpu/features.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { CHUNK } from "../../src/model/load-model.ts";
import { memoryOf } from "../../src/model/memory.ts";
import { tensorShapes } from "../../src/model/weights.ts";
import { showBytes } from "../../src/show.ts";
import { storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
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
        const findings = examine(gpu, adapters);
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
  };
}

/** What a model of `config` takes, in bytes, with a KV cache in f16 of its whole context. */
function needs(config: Config, format: WeightFormat, bindingLimit: number) {
  const context = config.max_position_embeddings;
  const { weights, cache, total } = memoryOf(config, {
    formatOf: () => format,
    cache: "f16",
    context,
    chunk: CHUNK,
  });
  const matrices = Array.from(tensorShapes(config).values(), ([rows, columns]) =>
    columns === undefined ? 0 : storedBytes(format, rows!, columns).words,
  );
  const largest = Math.max(...matrices);
  return {
    weights: format,
    weight_bytes: weights,
    cache_bytes: cache,
    cache_bytes_per_token: cache / context,
    total_bytes: total,
    largest_matrix_bytes: largest,
    // Matrices are split by rows into as many bindings as it takes.
    largest_matrix_bindings: Math.ceil(largest / bindingLimit),
  };
}

function describe(found: ReturnType<typeof examine>): string {
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
    found.software
      ? `A software adapter takes it from the machine's ${showBytes(found.system_memory_bytes)} of memory.`
      : "WebGPU does not tell how much memory an adapter has; compare with the graphics card's.",
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
