import { Recovery } from "../src/generate/recovery.ts";
import { makeSampler } from "../src/generate/sampler.ts";
import { Scheduler } from "../src/generate/scheduler.ts";
import type { Ticket } from "../src/generate/ticket.ts";
import type { Gpu } from "../src/gpu/device.ts";
import type { Config } from "../src/model/config.ts";
import { LlamaModel } from "../src/model/model.ts";
import { PAGE } from "../src/model/sequence.ts";
import type { WeightFormat } from "../src/stored.ts";
import { type Measured, median } from "./measure.ts";
import { costOf } from "./model.ts";
import { fillWeights } from "./random.ts";

const CONVERSATIONS = 8;
const SAMPLES = 3;
/** Tokens of a prompt, and then of an answer. */
const [PROMPT, ANSWER] = [16, 12];
const GREEDY = { temperature: 0, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1, seed: 1 };

/**
 * A token each of one conversation, and of several together, through the scheduler, after their prompts, at the start of
 * the context: medians of what each took, in turns.
 */
export async function benchTogether(gpu: Gpu, config: Config, format: WeightFormat): Promise<Measured[]> {
  const context = 2 * PAGE;
  const model = await LlamaModel.create(gpu, config, {
    formatOf: () => format,
    context,
    cacheTokens: CONVERSATIONS * context,
    cache: "f16",
    chunk: 2 * PAGE,
    tokenCount: config.vocab_size,
  });
  fillWeights(gpu, model.weights);
  const scheduler = new Scheduler(new Recovery({ model }), { parallel: CONVERSATIONS });
  let seed = 0;
  const begin = () => {
    const prompt = Array.from({ length: PROMPT }, () => (++seed * 7919) % config.vocab_size);
    const sampler = makeSampler(GREEDY);
    return scheduler.submit({ prompt, sampler, maxTokens: ANSWER + 1, stopIds: new Set() });
  };
  const read = async (ticket: Ticket) => {
    for (let i = 0; i < ANSWER; i++) await ticket.next();
  };
  const time = async (conversations: number) => {
    const tickets = Array.from({ length: conversations }, begin);
    await Promise.all(tickets.map((ticket) => ticket.next()));
    const start = performance.now();
    await Promise.all(tickets.map(read));
    const milliseconds = performance.now() - start;
    await Promise.all(tickets.map((ticket) => scheduler.close(ticket)));
    return milliseconds / ANSWER;
  };
  const alone: number[] = [];
  const together: number[] = [];
  for (let i = 0; i <= SAMPLES; i++) {
    alone.push(await time(1));
    together.push(await time(CONVERSATIONS));
  }
  model.destroy();
  return [[1, alone] as const, [CONVERSATIONS, together] as const].map(([count, samples]) => {
    const ms = median(samples.slice(1));
    const { bytes, flops } = costOf(config, format, PROMPT, 1);
    return {
      name: `a token of each of ${count}, ${config.num_hidden_layers} layers`,
      ms,
      bytes,
      flops: count * flops,
      tokensPerSecond: (1000 * count) / ms,
    };
  });
}
