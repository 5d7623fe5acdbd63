import { loadText } from "../../src/generate/load-engine.ts";
import { openModel, type Tokenizer } from "../index.ts";
import type { Command, Values } from "./command.ts";
import { FOLDER_FLAGS, SPECIAL_FLAGS, specialOptions } from "./engine.ts";
import { convertLines } from "./lines.ts";

async function tokenizerOf(values: Values): Promise<Tokenizer> {
  return (await loadText(openModel(values.text("model")), specialOptions(values))).tokenizer;
}

export const tokenize: Command = {
  usage: "tokenize",
  summary: "Texts to token ids: JSON Lines on stdin and stdout.",
  details: "Each line is a JSON string, each result an array of ids. A wrong line ends it with exit code 1.",
  flags: {
    bos: { help: "Begin with the begin-of-sequence id." },
    special: { help: "Recognise special strings such as <human>; without it the text is data." },
    ...SPECIAL_FLAGS,
    ...FOLDER_FLAGS,
  },
  positionals: 0,
  async run({ values, io }) {
    const tokenizer = await tokenizerOf(values);
    const options = { bos: values.on("bos"), special: values.on("special") };
    return convertLines(io, (value) => {
      if (typeof value !== "string") throw new Error(`it is ${kindOf(value)}; wanted a JSON string.`);
      return tokenizer.encode(value, options);
    });
  },
};

export const detokenize: Command = {
  usage: "detokenize",
  summary: "Token ids to texts: JSON Lines on stdin and stdout.",
  details: "Each line is a JSON array of ids, each result a string. A wrong line ends it with exit code 1.",
  flags: {
    special: { help: "Write special ids as their strings; without it they are nothing." },
    ...FOLDER_FLAGS,
  },
  positionals: 0,
  async run({ values, io }) {
    const tokenizer = await tokenizerOf(values);
    const options = { special: values.on("special") };
    return convertLines(io, (value) => {
      if (!Array.isArray(value) || !value.every((id) => Number.isInteger(id))) {
        throw new Error(`it is ${kindOf(value)}; wanted a JSON array of token ids.`);
      }
      return tokenizer.decode(value, options);
    });
  },
};

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array of other things" : `a JSON ${typeof value}`;
}
