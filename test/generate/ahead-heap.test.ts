import { queryObjects } from "node:v8";
import { expect, it } from "vitest";
import { load } from "../../node/index.ts";
import { aheadOf } from "../support/ahead.ts";
import { testDeviceOptions } from "../support/gpu.ts";

/** Tokens of a round. */
const TOKENS = 300;

/** Whatever a run ahead does besides choosing the best. */
const OPTIONS = { temperature: 60, top_k: 64, top_p: 0.95, min_p: 0.01, seed: 3, repetition_penalty: 1.1 };
const CHOICE = { draws: { options: OPTIONS, before: 0 }, penalties: OPTIONS };

/** Objects that a round may leave, however many its tokens: the test keeps one itself, and five were never seen. */
const OBJECTS_PER_ROUND = 5;

// Objects are counted and not bytes: V8 compiles and drops code as it likes, 160 kB of it in one round, as much as a leak.
it("six hundred tokens allocate nothing that stays, on the heap or on the device", async () => {
  const engine = await load({ weights: "q4", context: 512, ...testDeviceOptions() });
  try {
    const { model } = engine;
    const sequence = model.open();
    const { gpu } = model as unknown as { gpu: { allocated: number } };
    const readings: { objects: number; allocated: number }[] = [];
    for (let round = 0; round < 4; round++) {
      sequence.truncate(0);
      const run = await aheadOf(model, sequence, 5, TOKENS, CHOICE);
      for (let i = 0; i < TOKENS; i++) await run.next();
      await run.end();
      expect(sequence.length).toBe(TOKENS);
      // It collects the garbage first.
      readings.push({ objects: queryObjects(Object, { format: "count" }), allocated: gpu.allocated });
    }
    // The first warms up.
    const [, first, , last] = readings;
    expect(last!.allocated).toBe(first!.allocated);
    expect(last!.objects - first!.objects).toBeLessThan(2 * OBJECTS_PER_ROUND);
  } finally {
    engine.destroy();
  }
});
