import { basename } from "node:path";
import { DEVICE_OPTIONS, MODEL_OPTIONS } from "../../src/generate/load-engine.ts";
import { describeWrongWays } from "../../src/model/check/checked.ts";
import {
  type DeviceOptions,
  type Engine,
  type EngineOptions,
  embeddedModel,
  type LlamaModel,
  load,
} from "../index.ts";
import { type Flags, type Io, type Values, write } from "./command.ts";
import { flagsOf, optionsOf } from "./flags.ts";
import { progressBar } from "./progress.ts";

export const DEVICE_FLAGS: Flags = flagsOf(DEVICE_OPTIONS);

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

export const MODEL_FLAGS: Flags = { ...FOLDER_FLAGS, ...flagsOf(MODEL_OPTIONS), ...DEVICE_FLAGS };

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
    for (const sentence of describeWrongWays(engine.model.checked)) await write(io.stderr, `${sentence}\n`);
    return await use(engine);
  } finally {
    engine.destroy();
  }
}

function engineOptions(values: Values): EngineOptions & { model?: string } {
  const model = values.text("model");
  return {
    ...(model !== undefined && { model }),
    ...deviceOptions(values),
    ...optionsOf(values, MODEL_OPTIONS),
    ...specialOptions(values),
  };
}

/** What `SPECIAL_FLAGS` were given as. */
export function specialOptions(values: Values): Pick<EngineOptions, "strip"> {
  return values.on("keep-newline") ? { strip: false } : {};
}

/** What `DEVICE_FLAGS` were given as. */
export function deviceOptions(values: Values): DeviceOptions {
  return optionsOf(values, DEVICE_OPTIONS);
}
