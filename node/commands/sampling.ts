import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { BEAM_OPTIONS, GENERATION_OPTIONS, resolveOptions } from "../../src/generate/options.ts";
import type { AnswerStream, GenerationOptions, GenerationResult } from "../index.ts";
import { EXIT, type Flags, type Io, type Values, write } from "./command.ts";
import { flagsOf, optionsOf } from "./flags.ts";
import { progressBar } from "./progress.ts";

export const SAMPLING_FLAGS: Flags = flagsOf(GENERATION_OPTIONS);

/**
 * The generation options that flags give.
 * @throws OptionError for values that the library will not take, before a model is loaded for nothing.
 */
export function samplingOptions(values: Values): GenerationOptions {
  const given: GenerationOptions = optionsOf(values, GENERATION_OPTIONS);
  // How many beams there are, the checkpoint may say.
  const beams = BEAM_OPTIONS.some((name) => given[name]) && GENERATION_OPTIONS.num_beams.most;
  resolveOptions(given, { ...CARD_DEFAULTS, ...(beams && { num_beams: beams }) });
  return given;
}

/** Writes one answer to stdout, streamed, or as JSON when it is whole. Ctrl-C ends it. */
export async function printAnswer(
  io: Io,
  json: boolean,
  start: (watch: Required<Pick<GenerationOptions, "signal" | "onPrefill">>) => AnswerStream,
): Promise<number> {
  const controller = new AbortController();
  const interrupt = () => controller.abort();
  process.on("SIGINT", interrupt);
  try {
    const { signal } = controller;
    const result = await writeAnswer(io, json, (onPrefill) => start({ signal, onPrefill }));
    return result.finish_reason === "abort" ? EXIT.interrupted : EXIT.ok;
  } finally {
    process.off("SIGINT", interrupt);
  }
}

export async function writeAnswer(
  io: Io,
  json: boolean,
  start: (onPrefill: (done: number, total: number) => void) => AnswerStream,
): Promise<GenerationResult> {
  const bar = progressBar(io.stderr, "Reading");
  // A prompt of one chunk is read before anyone looks.
  const stream = start((done, total) => (done < total ? bar.show(done, total) : bar.clear()));
  try {
    if (json) {
      const result = await stream.complete();
      await write(io.stdout, `${JSON.stringify(result)}\n`);
      return result;
    }
    for await (const piece of stream) await write(io.stdout, piece);
  } finally {
    bar.clear();
  }
  const result = await stream.result;
  for (const { text } of result.sequences?.slice(1) ?? []) await write(io.stdout, `\n\n${text}`);
  await write(io.stdout, "\n");
  if (result.finish_reason === "length" && io.stderr.isTTY) {
    await write(io.stderr, "(cut: the answer reached --max-tokens or the end of the context)\n");
  }
  return result;
}
