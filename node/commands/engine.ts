import { basename } from "node:path";
import {
  type DeviceOptions,
  type Engine,
  type EngineOptions,
  embeddedModel,
  type LlamaModel,
  load,
  WEIGHT_FORMATS,
} from "../index.ts";
import type { Flags, Io, Values } from "./command.ts";
import { progressBar } from "./progress.ts";

export const DEVICE_FLAGS: Flags = {
  adapter: { value: "NAME", help: "A part of the adapter's name. Default: hardware before software." },
  rung: {
    value: "NAME",
    help: "Which of the adapter's features are used: core (none) or subgroups. Default: all.",
  },
  limits: { value: "NAME", help: "adapter, or default for the limits WebGPU guarantees. Default: adapter." },
};

export const FOLDER_FLAGS: Flags = {
  model: {
    value: "DIR",
    help: "A checkpoint folder in Hugging Face's layout. Default: the embedded ziya-tiny.",
  },
};

export const SPECIAL_FLAGS: Flags = {
  "keep-newline": {
    help: "Keep white space around <human> and <bot>, as transformers does since 4.34; Ziya was trained without it.",
  },
};

export const MODEL_FLAGS: Flags = {
  ...FOLDER_FLAGS,
  weights: {
    value: "FORMAT",
    help: `How weights are stored: ${WEIGHT_FORMATS.join(", ")}. Default: f16, or what it is packed as.`,
  },
  context: { value: "N", help: "Tokens the KV cache holds. Default: what the model was made for." },
  cache: { value: "FORMAT", help: "How keys and values are stored: f16 or f32. Default: f16." },
  ...DEVICE_FLAGS,
};

export const JSON_FLAG: Flags = { json: { help: "Print machine-readable results." } };

/** Loads what the flags ask for, with a progress bar, hands it to `use` and releases it. */
export async function withEngine<T>(
  values: Values,
  io: Io,
  use: (engine: Engine<LlamaModel>) => Promise<T>,
): Promise<T> {
  const bar = progressBar(io.stderr, `Loading ${basename(values.text("model") ?? embeddedModel)}`);
  let engine: Engine<LlamaModel>;
  try {
    engine = await load({ ...engineOptions(values), onProgress: bar.show });
  } finally {
    bar.clear();
  }
  try {
    return await use(engine);
  } finally {
    engine.destroy();
  }
}

function engineOptions(values: Values): EngineOptions & { model?: string } {
  return {
    ...deviceOptions(values),
    ...given({
      ...texts(values, ["model", "weights", "cache"]),
      context: values.number("context"),
      ...specialOptions(values),
    }),
  };
}

/** What `SPECIAL_FLAGS` were given as. */
export function specialOptions(values: Values): Pick<EngineOptions, "strip"> {
  return values.on("keep-newline") ? { strip: false } : {};
}

/** What `DEVICE_FLAGS` were given as. */
export function deviceOptions(values: Values): DeviceOptions {
  return given(texts(values, Object.keys(DEVICE_FLAGS)));
}

// The library checks them: words that no format has are refused there by name.
function texts(values: Values, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, values.text(name)]));
}

function given(options: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
