import { type Command, UsageError } from "./command.ts";
import { JSON_FLAG, MODEL_FLAGS, withEngine } from "./engine.ts";
import { printAnswer, SAMPLING_FLAGS, samplingOptions } from "./sampling.ts";
import { readInput } from "./text.ts";

export const generate: Command = {
  usage: "generate --prompt TEXT",
  summary: "Continue a text, without a chat's turns.",
  details: `The text is data: special strings such as <human> in it are ordinary text. A newline at its end is dropped when it
comes from a file. On a terminal, control characters of an answer are shown as pictures; a pipe gets them as they are.`,
  flags: {
    prompt: { value: "TEXT", help: "The text to continue." },
    file: { value: "FILE", help: "Or the text from a file in UTF-8; - is stdin." },
    ...SAMPLING_FLAGS,
    ...MODEL_FLAGS,
    ...JSON_FLAG,
  },
  positionals: 0,
  async run({ values, io }) {
    const file = values.text("file");
    if (file !== undefined && values.text("prompt") !== undefined) {
      throw new UsageError("There are --prompt and --file; wanted one of them.");
    }
    const prompt = file === undefined ? values.required("prompt") : await readInput(file, io);
    const options = samplingOptions(values);
    return withEngine(values, io, (engine) =>
      printAnswer(io, values.on("json"), (watch) => engine.generate(prompt, { ...options, ...watch })),
    );
  },
};
