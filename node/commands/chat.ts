import { type Command, UsageError } from "./command.ts";
import { JSON_FLAG, MODEL_FLAGS, SPECIAL_FLAGS, withEngine } from "./engine.ts";
import { converse } from "./repl.ts";
import { printAnswer, SAMPLING_FLAGS, samplingOptions } from "./sampling.ts";
import { readInput } from "./text.ts";

export const chat: Command = {
  usage: "chat [PROMPT]",
  summary: "Talk with the model, or with PROMPT or --file have one answer.",
  details: `Without PROMPT each line is a message; what was said before is remembered, the oldest turns are dropped when
the context is full (unless --overflow says otherwise). Lines can also come from a pipe. Ctrl-C stops the answer;
at the prompt, Ctrl-C twice or Ctrl-D ends. /reset begins anew, /save FILE and /load FILE keep a conversation and go on with it, /stats
tells about the last answer, /help lists these.
A PROMPT that begins with a dash goes behind "--". A message of several lines comes from a file: --file FILE, or from a
pipe: --file -. On a terminal, control characters of an answer are shown as pictures (␛ for escape); a pipe gets them as
they are.`,
  flags: {
    file: { value: "FILE", help: "One message from a file in UTF-8, whatever its lines; - is stdin." },
    ...SAMPLING_FLAGS,
    ...SPECIAL_FLAGS,
    ...MODEL_FLAGS,
    ...JSON_FLAG,
  },
  positionals: 1,
  async run({ values, positionals, io }) {
    const options = samplingOptions(values);
    const json = values.on("json");
    const file = values.text("file");
    if (file !== undefined && positionals.length > 0) {
      throw new UsageError("There are a PROMPT and --file; wanted one of them.");
    }
    const prompt = file === undefined ? positionals[0] : await readInput(file, io);
    return withEngine(values, io, (engine) =>
      prompt === undefined
        ? converse(engine, io, json, { overflow: "truncate", ...options })
        : printAnswer(io, json, (watch) =>
            engine.chat([{ role: "user", content: prompt }], { ...options, ...watch }),
          ),
    );
  },
};
