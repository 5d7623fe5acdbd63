import type { Command } from "./command.ts";
import { JSON_FLAG, MODEL_FLAGS, SPECIAL_FLAGS, withEngine } from "./engine.ts";
import { converse } from "./repl.ts";
import { printAnswer, SAMPLING_FLAGS, samplingOptions } from "./sampling.ts";

export const chat: Command = {
  usage: "chat [PROMPT]",
  summary: "Talk with the model, or with PROMPT have one answer.",
  details: `Without PROMPT each line is a message; what was said before is remembered, the oldest turns are dropped when
the context is full (unless --overflow says otherwise). Lines can also come from a pipe. Ctrl-C stops the answer;
at the prompt, Ctrl-C twice or Ctrl-D ends. /reset begins anew, /stats tells about the last answer, /help lists these.`,
  flags: { ...SAMPLING_FLAGS, ...SPECIAL_FLAGS, ...MODEL_FLAGS, ...JSON_FLAG },
  positionals: 1,
  async run({ values, positionals, io }) {
    const options = samplingOptions(values);
    const json = values.on("json");
    const [prompt] = positionals;
    return withEngine(values, io, (engine) =>
      prompt === undefined
        ? converse(engine, io, json, { overflow: "truncate", ...options })
        : printAnswer(io, json, (signal) =>
            engine.chat([{ role: "user", content: prompt }], { ...options, signal }),
          ),
    );
  },
};
