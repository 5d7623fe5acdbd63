import { ChatFormat } from "../../src/generate/chat.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import type { GenerationDefaults } from "../../src/generate/options.ts";
import type { SchedulerOptions } from "../../src/generate/scheduler.ts";
import type { Message } from "../../src/generate/template.ts";
import { certain, FakeModel, type FakeModelOptions } from "./model.ts";
import { ToyTokenizer } from "./tokenizer.ts";

export const tokenizer = new ToyTokenizer();
export const format = new ChatFormat(tokenizer, undefined);
export const [EOS, BOT] = [2, 4];
export const user = (content: string): Message => ({ role: "user", content });

/** An engine whose model answers each question with `reply`, then ends. */
export function answering(
  reply: string,
  {
    defaults = CARD_DEFAULTS,
    scheduling = {},
    ...options
  }: Partial<FakeModelOptions> & { defaults?: GenerationDefaults; scheduling?: SchedulerOptions } = {},
) {
  const ids = [ToyTokenizer.PREFIX, ...ToyTokenizer.characters(reply), EOS];
  const model = new FakeModel({
    tokenCount: tokenizer.size,
    contextLength: 200,
    // The answer begins after <bot>, the prefix and the colon.
    logitsAfter: (tokens) => certain(ids[tokens.length - tokens.lastIndexOf(BOT) - 3] ?? EOS, tokenizer.size),
    ...options,
  });
  const parts = { model, tokenizer, format, addBos: true, defaults, scheduling };
  return { model, engine: new Engine({ ...parts, eosIds: [EOS] }) };
}

export async function collect(stream: AsyncIterable<string>): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}
