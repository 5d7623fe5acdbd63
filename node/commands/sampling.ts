import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { resolveOptions } from "../../src/generate/options.ts";
import type { GenerationOptions, GenerationResult, GenerationStream } from "../index.ts";
import { EXIT, type Flags, type Io, type Values, write } from "./command.ts";

export const SAMPLING_FLAGS: Flags = {
  temperature: { value: "T", help: "0 is greedy: the most likely token each time. Default: the model's." },
  "top-k": { value: "K", help: "Only the K most likely tokens; 0 for all." },
  "top-p": { value: "P", help: "Only the most likely tokens that together reach P." },
  "min-p": { value: "P", help: "Only tokens at least P times as likely as the likeliest." },
  "repetition-penalty": { value: "R", help: "Above 1: what was said is less likely to be said again." },
  seed: { value: "N", help: "Same seed, same device, same answer." },
  "max-tokens": { value: "N", help: "The longest answer." },
  stop: { value: "TEXT", multiple: true, help: "End the answer before TEXT; may be given several times." },
  overflow: { value: "HOW", help: "When the context is full: error, or truncate to drop what is oldest." },
};

/**
 * The generation options that flags give.
 * @throws OptionError for values that the library will not take, before a model is loaded for nothing.
 */
export function samplingOptions(values: Values): GenerationOptions {
  const numbers = Object.keys(SAMPLING_FLAGS).filter((flag) => flag !== "stop" && flag !== "overflow");
  const options = {
    ...Object.fromEntries(numbers.map((flag) => [flag.replaceAll("-", "_"), values.number(flag)])),
    stop: values.texts("stop"),
    overflow: values.text("overflow"),
  };
  const given: GenerationOptions = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  resolveOptions(given, CARD_DEFAULTS);
  return given;
}

/** Writes one answer to stdout, streamed, or as JSON when it is whole. Ctrl-C ends it. */
export async function printAnswer(
  io: Io,
  json: boolean,
  start: (signal: AbortSignal) => GenerationStream,
): Promise<number> {
  const controller = new AbortController();
  const interrupt = () => controller.abort();
  process.on("SIGINT", interrupt);
  try {
    const stream = start(controller.signal);
    const result = await writeAnswer(io, json, stream);
    return result.finish_reason === "abort" ? EXIT.interrupted : EXIT.ok;
  } finally {
    process.off("SIGINT", interrupt);
  }
}

export async function writeAnswer(
  io: Io,
  json: boolean,
  stream: GenerationStream,
): Promise<GenerationResult> {
  if (json) {
    const result = await stream.complete();
    await write(io.stdout, `${JSON.stringify(result)}\n`);
    return result;
  }
  for await (const piece of stream) await write(io.stdout, piece);
  await write(io.stdout, "\n");
  const result = await stream.result;
  if (result.finish_reason === "length" && io.stderr.isTTY) {
    await write(io.stderr, "(cut: the answer reached --max-tokens or the end of the context)\n");
  }
  return result;
}
