import { expect, it } from "vitest";
import { load } from "../../node/index.ts";
import type { GenerationResult } from "../../src/generate/answer-stream.ts";
import { FEW } from "../../src/kernels/gemv.ts";
import { MOST_DRAWN } from "../../src/kernels/rows.ts";
import { fusedBytes } from "../../src/model/sets/fused.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { randomStream } from "../support/random.ts";

/** A soak has 2,000: `SOAK_REQUESTS=2000 npx vitest run test/generate/soak.test.ts`. */
const REQUESTS = Number(process.env.SOAK_REQUESTS ?? 120);
/** Requests that are different. */
const KINDS = 60;
/** Of the requests that are aborted. */
const ABORTED = 0.3;
/** Clients, of whom each has one request at a time: more than are served at once. */
const CLIENTS = 12;
/** The copy of what is read back grows once to the best ids and logits of all drawn rows. */
const STAGING = 8 * MOST_DRAWN;
const TIMEOUT = 60_000 + 500 * REQUESTS;

it(
  "requests of random lengths, a third of them aborted, leave nothing and answer as they do alone",
  async () => {
    // Eight sequences share what one could have.
    const engine = await load({ weights: "q4", context: 512, parallel: 8, ...testDeviceOptions() });
    try {
      const { model, tokenizer } = engine;
      const { gpu } = model as unknown as { gpu: { allocated: number } };
      const { pages } = model.state.cache as unknown as { pages: { left: number } };
      const next = randomStream(11);
      const whole = (most: number) => Math.floor(next() * most);
      const system = Array.from({ length: 40 }, () => 300 + whole(1000));
      const kinds = Array.from({ length: KINDS }, () => {
        const own = Array.from({ length: 2 + whole(120) }, () => 300 + whole(tokenizer.size - 300));
        const prompt = next() < 0.5 ? [...system, ...own] : own;
        return {
          prompt,
          options: { temperature: 0, max_tokens: 1 + whole(24), prompt_lookup_num_tokens: 3 * whole(2) },
        };
      });
      const alone: string[] = [];
      for (const { prompt, options } of kinds) {
        empty();
        alone.push((await engine.generate(prompt, options).complete()).text);
      }
      const before = gpu.allocated;
      const ends = new Map<string, number>();
      let given = 0;
      const ask = async () => {
        while (given++ < REQUESTS) {
          const kind = whole(KINDS);
          const { prompt, options } = kinds[kind]!;
          const controller = new AbortController();
          if (next() < ABORTED) setTimeout(() => controller.abort(), 400 * next());
          const stream = engine.generate(prompt, { ...options, signal: controller.signal });
          const { text, finish_reason: reason }: GenerationResult = await stream.complete();
          ends.set(reason, (ends.get(reason) ?? 0) + 1);
          if (reason === "abort") expect(alone[kind]!.startsWith(text)).toBe(true);
          else expect(text).toBe(alone[kind]);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, ask));
      expect([...ends.values()].reduce((a, b) => a + b)).toBe(REQUESTS);
      expect(ends.get("abort")).toBeGreaterThan(REQUESTS / 20);
      // What passes of several rows take, they take once.
      const few = FEW.slice(1).flatMap((rows) =>
        Object.values(fusedBytes(model.config, model.state.attention, "i8", rows)),
      );
      expect(gpu.allocated).toBeLessThanOrEqual(few.reduce((a, b) => a + b, before + STAGING));
      empty();
      expect(pages.left).toBe(model.state.attention.pages);

      function empty(): void {
        const sequence = model.open();
        sequence.reserve(model.contextLength);
        sequence.discard();
      }
    } finally {
      engine.destroy();
    }
  },
  TIMEOUT,
);
