import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Recovery } from "../../src/generate/recovery.ts";
import { Scheduler } from "../../src/generate/scheduler.ts";
import { searchBeams } from "../../src/generate/search.ts";
import type { LlamaModel } from "../../src/model/model.ts";
import { beamOracle } from "../oracle/beams.ts";
import { llamaOracle } from "../oracle/llama.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { useGpu, withoutDot } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

/** A score by the logits of f32 sums beside that by float64: on lavapipe at most 1.3e-4 apart. */
const SCORE = 1e-3;
/** A page is 32 positions: the prompt ends in the second, and answers of 12 tokens go on into the third. */
const PROMPT = Array.from({ length: 59 }, (_, i) => (i * 37 + 11) % 300);

const { config, tensors, open } = randomFolder({ num_key_value_heads: 2 }, 7);
const known = new Map<string, Float64Array>();

/** The float64 logits after the prompt and `ids`. */
function logitsAfter(ids: readonly number[]): Float64Array {
  const key = ids.join();
  if (!known.has(key)) {
    const all = llamaOracle(config, tensors, [...PROMPT, ...ids]);
    known.set(key, all.slice(-config.vocab_size));
  }
  return known.get(key)!;
}

const gpu = useGpu();
let model: LlamaModel;
beforeAll(async () => {
  const options = { weights: "f32", cache: "f32", chunk: 16, cacheTokens: 512 } as const;
  model = await loadModel(withoutDot(gpu()), open, options);
});
afterAll(() => model.destroy());

interface Asked {
  readonly width: number;
  readonly penalty?: number;
  readonly early?: boolean;
  readonly longest?: number;
  readonly ends?: readonly number[];
}

async function expectReference({ width, penalty = 1, early = false, longest = 12, ends = [] }: Asked) {
  const wanted = beamOracle(logitsAfter, { width, penalty, early, longest, ends });
  const { hypotheses } = await searchBeams(
    {
      scheduler: new Scheduler(new Recovery({ model })),
      prompt: PROMPT,
      num_beams: width,
      length_penalty: penalty,
      early_stopping: early,
      count: width,
      maxTokens: longest,
      stopIds: new Set(ends),
      penalties: { repetition_penalty: 1 },
    },
    new AbortController().signal,
  );
  expect(hypotheses.map(({ tokens }) => tokens)).toEqual(wanted.map(({ ids }) => ids));
  for (const [i, { score }] of hypotheses.entries()) {
    expect(Math.abs(score - wanted[i]!.score)).toBeLessThan(SCORE);
  }
  // All pages are free, or can be had.
  const everything = Array.from({ length: 2 }, () => model.open());
  for (const sequence of everything) sequence.reserve(model.contextLength);
  for (const sequence of everything) sequence.discard();
  return wanted;
}

describe("a search on the GPU, beside one in float64", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])("with %i beams", async (width) => {
    await expectReference({ width });
  });

  it.each([0, 1, 2])("with length penalty %d, and ids that end answers of any length", async (penalty) => {
    // What the likeliest answers without an end have in their middle.
    const free = beamOracle(logitsAfter, { width: 4, penalty: 1, early: false, longest: 12, ends: [] });
    const ends = [free[0]!.ids[6]!, free[1]!.ids[3]!, free[3]!.ids[9]!];
    for (const early of [false, true]) {
      const found = await expectReference({ width: 4, penalty, early, ends });
      expect(found.some(({ ids }) => ids.length < 12)).toBe(true);
    }
  });

  it.each([1, 2])("with answers of at most %i tokens", async (longest) => {
    await expectReference({ width: 8, longest });
  });
});
