import { describe, expect, it } from "vitest";
import { NO_ID, TOP, TOP_K } from "../../src/kernels/topk.ts";
import { prepare } from "../../src/kernels/way.ts";
import { rankOracle } from "../oracle/selection.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { LOGITS, NAN_LOGITS } from "../support/logits.ts";

describe("topK", () => {
  const gpu = useGpu();

  async function run(logits: Float32Array, limit: number) {
    const buffers = { logits: upload(gpu(), logits), best: upload(gpu(), new Uint32Array(2 * TOP_K)) };
    const kernel = await prepare(gpu(), TOP, { vocab: logits.length, limit });
    const words = await runAndRead(gpu(), [kernel(buffers)], buffers.best);
    return {
      ids: [...words.subarray(0, TOP_K)],
      logits: [...new Float32Array(words.buffer, 4 * TOP_K, TOP_K)],
    };
  }

  it.each(LOGITS)("is exact of %s, in order", async (_, limit, logits) => {
    const got = await run(logits, limit);
    const ids = rankOracle(logits, limit, TOP_K);
    const none = TOP_K - ids.length;
    expect(got.ids).toEqual([...ids, ...Array(none).fill(NO_ID)]);
    // + 0: of the zeros it does not keep the sign.
    expect(got.logits).toEqual([...ids.map((id) => logits[id]! + 0), ...Array(none).fill(-Infinity)]);
  });

  it("gives NaN before every number", async () => {
    const got = await run(NAN_LOGITS, 1000);
    expect(got.ids).toEqual(rankOracle(NAN_LOGITS, 1000, TOP_K));
    expect(got.ids.slice(0, 2)).toEqual([300, 700]);
    expect(got.logits.slice(0, 3).map(Number.isNaN)).toEqual([true, true, false]);
  });

  it("refuses a limit without ids or above the vocabulary", async () => {
    await expect(prepare(gpu(), TOP, { vocab: 10, limit: 0 })).rejects.toThrow("the tokenizer has 0");
    await expect(prepare(gpu(), TOP, { vocab: 10, limit: 11 })).rejects.toThrow("1 to 10 ids");
  });
});
