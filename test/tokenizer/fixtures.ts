import { readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "..", "fixtures", "tokenizer");

/** The toy models of make_fixtures.py. */
export const FIXTURES = ["plain", "symbols", "unused", "spaces"] as const;
export type FixtureName = (typeof FIXTURES)[number];

export function fixtureModel(name: FixtureName): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER, `${name}.model`)));
}

/** What sentencepiece made of strings (`text`) and of random ids (`text` undefined). */
export interface FixtureLine {
  readonly text: string | undefined;
  readonly ids: readonly number[];
  readonly decoding: string;
}

export function fixtureLines(name: FixtureName): FixtureLine[] {
  const lines = readFileSync(join(FOLDER, `${name}.jsonl`), "utf8")
    .trimEnd()
    .split("\n");
  return lines.map((line) => {
    const [text, ids, decoding] = JSON.parse(line) as [string | null, number[], string?];
    return { text: text ?? undefined, ids, decoding: decoding ?? text! };
  });
}
