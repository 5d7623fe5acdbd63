import { expectWritable } from "../convert/output.ts";
import { type Command, print, UsageError } from "./command.ts";
import { JSON_FLAG, MODEL_FLAGS, withEngine } from "./engine.ts";
import { writeOutput } from "./file.ts";

export const logits: Command = {
  usage: "logits --tokens IDS --out FILE",
  summary: "Write the raw logits of every position, to compare with another implementation.",
  details: `FILE gets little-endian float32 of shape [T, vocab_size], row by row, before masking: rows of the vocabulary
that have no token are included. Nothing is put before the tokens: begin with the begin-of-sequence id yourself.`,
  flags: {
    tokens: { value: "IDS", help: "Token ids with commas between: 1,2,3." },
    out: { value: "FILE", help: "Where to write." },
    ...MODEL_FLAGS,
    ...JSON_FLAG,
  },
  positionals: 0,
  async run({ values, io }) {
    const tokens = parseIds(values.required("tokens"));
    const path = values.required("out");
    await expectWritable(path);
    return withEngine(values, io, async (engine) => {
      await writeOutput(path, bytesOf(engine.logits(tokens)));
      const shape = [tokens.length, engine.model.config.vocab_size];
      const result = { file: path, dtype: "float32", shape };
      return print({ values, io }, result, `${path}: float32 [${shape.join(", ")}]`);
    });
  },
};

async function* bytesOf(runs: AsyncIterable<Float32Array>): AsyncGenerator<Uint8Array> {
  for await (const rows of runs) yield new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
}

function parseIds(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part)) {
      throw new UsageError(
        `--tokens has ${JSON.stringify(part)}; wanted token ids with commas between: 1,2,3.`,
      );
    }
    return Number(part);
  });
}
