import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Agreement, compareLogits, negativeLogLikelihood } from "../../fixtures/peers/metrics.ts";
import type { Engine, Message } from "../../node/index.ts";

/** A sequence of tokens; those before `from` are given, the others predicted. */
export interface Sequence {
  readonly tokens: readonly number[];
  readonly from: number;
}

/** Logits of several implementations measured against the same reference on the same tokens. */
export class Measurement {
  private readonly sequences: readonly Sequence[];
  private readonly vocab: number;
  /** Ids above it have no text and are never sampled: only the rows below it are compared. */
  private readonly size: number;
  private readonly reference: Float32Array;
  readonly targets: readonly number[];

  /** @param reference logits [tokens of all sequences, vocab] of the unquantised model */
  constructor(sequences: readonly Sequence[], vocab: number, size: number, reference: Float32Array) {
    this.sequences = sequences;
    this.vocab = vocab;
    this.size = size;
    this.reference = this.predictions(reference);
    this.targets = sequences.flatMap(({ tokens, from }) => tokens.slice(from));
  }

  /** @param logits [tokens of all sequences, vocab] */
  measure(logits: Float32Array): Agreement & { readonly perplexity: number } {
    const predictions = this.predictions(logits);
    const loss = negativeLogLikelihood(predictions, this.targets, this.size);
    return {
      ...compareLogits(this.reference, predictions, this.size),
      perplexity: Math.exp(loss / this.targets.length),
    };
  }

  /** Perplexity of the reference itself. */
  get perplexity(): number {
    return Math.exp(negativeLogLikelihood(this.reference, this.targets, this.size) / this.targets.length);
  }

  /** The rows that predict a token that counts, cut to the ids that have a text. */
  private predictions(logits: Float32Array): Float32Array {
    const rows = new Float32Array(
      this.sequences.reduce((n, s) => n + s.tokens.length - s.from, 0) * this.size,
    );
    let [first, at] = [0, 0];
    for (const { tokens, from } of this.sequences) {
      for (let i = from; i < tokens.length; i++, at += this.size) {
        const start = (first + i - 1) * this.vocab;
        rows.set(logits.subarray(start, start + this.size), at);
      }
      first += tokens.length;
    }
    return rows;
  }
}

/**
 * Questions and answers as in training, of each skill those from `first` to before `end`; only the answers and the end
 * after them count.
 */
export function heldOut(engine: Engine, model: string, first: number, end: number): Sequence[] {
  const path = join(model, "heldout.jsonl");
  if (!existsSync(path))
    throw new Error(`${model} has no heldout.jsonl: name a file of token ids by --file.`);
  const seen = new Map<string, number>();
  return readLines(path).flatMap((line) => {
    const { skill, messages, answer } = line as { skill: string; messages: Message[]; answer: string };
    const at = seen.get(skill) ?? 0;
    seen.set(skill, at + 1);
    if (at < first || at >= end) return [];
    const prompt = engine.encodeChat(messages);
    const tokens = [...prompt, ...engine.tokenizer.encode(answer), engine.tokenizer.eosId];
    return [{ tokens, from: prompt.length }];
  });
}

/** Lines from `first` to before `end` of JSON Lines, each an array of token ids of which all but the first count. */
export function readSequences(path: string, first: number, end: number): Sequence[] {
  return readLines(path)
    .slice(first, end)
    .map((line, i) => {
      if (!Array.isArray(line) || line.length < 2 || !line.every((id) => Number.isInteger(id))) {
        throw new Error(`Line ${first + i + 1} of ${path} is no array of at least two token ids.`);
      }
      return { tokens: line as number[], from: 1 };
    });
}

function readLines(path: string): unknown[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line.trim() !== "").map((line) => JSON.parse(line) as unknown);
}
