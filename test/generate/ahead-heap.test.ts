import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { load } from "../../node/index.ts";
import { aheadOf } from "../support/ahead.ts";
import { testDeviceOptions } from "../support/gpu.ts";

// Code that V8 compiles and drops moves the heap up and down by 84 kB, as much as a leak would: 10 kB without it.
setFlagsFromString("--no-opt");
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Tokens of a round. */
const TOKENS = 500;

/** Bytes of heap that a token may leave: a promise alone, were it kept, is more. */
const HEAP_PER_TOKEN = 48;

async function heap(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    collectGarbage();
  }
  return process.memoryUsage().heapUsed;
}

it("a thousand tokens allocate nothing that stays, on the heap or on the device", async () => {
  const engine = await load({ weights: "q4", context: 512, ...testDeviceOptions() });
  try {
    const { model } = engine;
    const sequence = model.open();
    const { gpu } = model as unknown as { gpu: { allocated: number } };
    const readings: { heap: number; allocated: number }[] = [];
    for (let round = 0; round < 4; round++) {
      sequence.truncate(0);
      const run = await aheadOf(model, sequence, 5, TOKENS);
      for (let i = 0; i < TOKENS; i++) await run.next();
      await run.end();
      expect(sequence.length).toBe(TOKENS);
      readings.push({ heap: await heap(), allocated: gpu.allocated });
    }
    // The first warms up.
    const [, first, , last] = readings;
    expect(last!.allocated).toBe(first!.allocated);
    expect(last!.heap - first!.heap).toBeLessThan(HEAP_PER_TOKEN * 2 * TOKENS);
  } finally {
    engine.destroy();
  }
});
