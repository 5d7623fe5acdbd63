import { describe, expect, it } from "vitest";
import { ARGMAX } from "../../src/kernels/argmax.ts";
import { prepare } from "../../src/kernels/way.ts";
import { rankOracle } from "../oracle/selection.ts";
import { runAndRead, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";
import { LOGITS, NAN_LOGITS } from "../support/logits.ts";

const RUNGS = [
  ["highest", {}],
  ["core", { rung: "core" }],
] as const;

describe.each(RUNGS)("argmax on the %s rung", (_, options) => {
  const gpu = useGpu({ ...testDeviceOptions(), ...options });

  async function run(logits: Float32Array, limit: number) {
    const buffers = { logits: upload(gpu(), logits), best: upload(gpu(), new Uint32Array(2)) };
    const kernel = await prepare(gpu(), ARGMAX, { vocab: logits.length, limit });
    const words = await runAndRead(gpu(), [kernel(buffers)], buffers.best);
    return { id: words[0]!, logit: new Float32Array(words.buffer)[1]! };
  }

  it.each(LOGITS)("is exact of %s", async (_, limit, logits) => {
    const [id] = rankOracle(logits, limit, 1);
    expect(await run(logits, limit)).toEqual({ id, logit: logits[id!] });
  });

  it("tells of a NaN among the ids it chooses from, and of no other", async () => {
    expect(await run(NAN_LOGITS, 1000)).toEqual({ id: 300, logit: Number.NaN });
    expect(await run(NAN_LOGITS.slice(700), 300)).toEqual({ id: 0, logit: Number.NaN });
    const [id] = rankOracle(NAN_LOGITS, 300, 1);
    expect(await run(NAN_LOGITS, 300)).toEqual({ id, logit: NAN_LOGITS[id!] });
  });

  it("refuses a limit without ids or above the vocabulary", async () => {
    await expect(prepare(gpu(), ARGMAX, { vocab: 10, limit: 0 })).rejects.toThrow("the tokenizer has 0");
    await expect(prepare(gpu(), ARGMAX, { vocab: 10, limit: 11 })).rejects.toThrow("1 to 10 ids");
  });
});
