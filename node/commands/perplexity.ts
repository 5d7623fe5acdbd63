import { type Command, print, UsageError } from "./command.ts";
import { JSON_FLAG, MODEL_FLAGS, withEngine } from "./engine.ts";
import { progressBar } from "./progress.ts";
import { readTextFile } from "./text.ts";

export const perplexity: Command = {
  usage: "perplexity --file FILE",
  summary: "How well the model predicts a text.",
  details: `The text's tokens are cut into windows that fill the context (--context) behind a begin-of-sequence id of their
own, and every token is predicted once, from those before it in its window. Prints the number of tokens, the mean
negative log-likelihood in nats (nll) and the perplexity, exp(nll). Only ids that the tokenizer has share the probability.`,
  flags: {
    file: { value: "FILE", help: "A text in UTF-8; it is data, special strings count as text." },
    ...MODEL_FLAGS,
    ...JSON_FLAG,
  },
  positionals: 0,
  async run({ values, io }) {
    const path = values.required("file");
    const text = await readTextFile(path);
    return withEngine(values, io, async (engine) => {
      const ids = engine.tokenizer.encode(text);
      if (ids.length === 0) throw new UsageError(`${path} has no text.`);
      const bar = progressBar(io.stderr, "Predicting");
      const nll = (await totalLoss(engine, ids, bar.show)) / ids.length;
      bar.clear();
      const result = { tokens: ids.length, nll, perplexity: Math.exp(nll) };
      const summary = `tokens ${result.tokens}  nll ${nll.toFixed(4)}  perplexity ${result.perplexity.toFixed(4)}`;
      return print({ values, io }, result, summary);
    });
  },
};

/** What `totalLoss` needs of an engine. */
interface Scorer {
  readonly model: { readonly contextLength: number; readonly config: { readonly vocab_size: number } };
  readonly tokenizer: { readonly bosId: number; readonly size: number };
  logits(tokens: readonly number[]): AsyncIterable<Float32Array>;
}

/** The summed negative log-likelihood of `ids`, in nats. */
export async function totalLoss(
  engine: Scorer,
  ids: readonly number[],
  onProgress: (done: number, total: number) => void,
): Promise<number> {
  const { contextLength, config } = engine.model;
  let loss = 0;
  for (let at = 0; at < ids.length; at += contextLength) {
    const window = ids.slice(at, at + contextLength);
    // Row i predicts window[i]: the last id needs no row.
    const input = [engine.tokenizer.bosId, ...window.slice(0, -1)];
    let row = 0;
    for await (const rows of engine.logits(input)) {
      for (let start = 0; start < rows.length; start += config.vocab_size) {
        loss += negativeLogLikelihood(rows.subarray(start, start + engine.tokenizer.size), window[row++]!);
      }
      onProgress(at + row, ids.length);
    }
  }
  return loss;
}

/** -log softmax(logits)[id], in float64. */
export function negativeLogLikelihood(logits: Float32Array, id: number): number {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - highest), 0);
  return highest + Math.log(sum) - logits[id]!;
}
