import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Room for the answers of one batch. */
const MAX_ANSWER_BYTES = 512 * 1024 * 1024;

const script = join(import.meta.dirname, "reference.py");

/** A python3 that has Google's sentencepiece (Debian: python3-sentencepiece), or undefined. */
export const python = ["python3", "/usr/bin/python3"].find(
  (command) => spawnSync(command, ["-c", "import sentencepiece"]).status === 0,
);

/** What sentencepiece makes of texts: their ids, and what those decode to. */
export function referenceEncode(model: Uint8Array, texts: readonly string[]): [number[], string][] {
  const requests = texts.map((text) => Buffer.from(text, "utf8").toString("base64"));
  return ask(model, requests) as [number[], string][];
}

export function referenceDecode(model: Uint8Array, ids: readonly (readonly number[])[]): string[] {
  return ask(model, ids) as string[];
}

function ask(model: Uint8Array, requests: readonly unknown[]): unknown[] {
  if (python === undefined) throw new Error("no python3 with sentencepiece");
  const folder = mkdtempSync(join(tmpdir(), "ziya-tokenizer-"));
  try {
    const path = join(folder, "tokenizer.model");
    writeFileSync(path, model);
    const input = requests.map((request) => `${JSON.stringify(request)}\n`).join("");
    const answer = spawnSync(python, [script, path], {
      input,
      maxBuffer: MAX_ANSWER_BYTES,
      encoding: "utf8",
    });
    if (answer.status !== 0) throw new Error(`reference.py failed: ${answer.stderr}`);
    return answer.stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as unknown);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
