import type { Command } from "./command.ts";
import { JSON_FLAG, MODEL_FLAGS, withEngine } from "./engine.ts";
import { printAnswer, SAMPLING_FLAGS, samplingOptions } from "./sampling.ts";

export const generate: Command = {
  usage: "generate --prompt TEXT",
  summary: "Continue a text, without a chat's turns.",
  details: "The text is data: special strings such as <human> in it are ordinary text.",
  flags: {
    prompt: { value: "TEXT", help: "The text to continue." },
    ...SAMPLING_FLAGS,
    ...MODEL_FLAGS,
    ...JSON_FLAG,
  },
  positionals: 0,
  async run({ values, io }) {
    const prompt = values.required("prompt");
    const options = samplingOptions(values);
    return withEngine(values, io, (engine) =>
      printAnswer(io, values.on("json"), (signal) => engine.generate(prompt, { ...options, signal })),
    );
  },
};
