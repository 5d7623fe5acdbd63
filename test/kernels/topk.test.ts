import { describe, expect, it } from "vitest";
import { NO_ID, TOP, TOP_K } from "../../src/kernels/topk.ts";
import { prepare } from "../../src/kernels/way.ts";
import { rankOracle } from "../oracle/selection.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { LOGITS, NAN_LOGITS } from "../support/logits.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

describe("topK", () => {
  const gpu = useGpu();

  async function run(logits: Float32Array, limit: number) {
    return (await runAll([logits], limit))[0]!;
  }

  /** Of several rows' logits, as many as are drawn; a place behind them stays as it is. */
  async function runAll(rows: readonly Float32Array[], limit: number) {
    const buffers = {
      logits: upload(gpu(), Float32Array.from(rows.flatMap((row) => [...row]))),
      best: upload(gpu(), new Uint32Array(2 * TOP_K * (rows.length + 1)).fill(7)),
      rows: uploadRows(
        gpu(),
        rowsFrom(0, 20),
        Array.from(rows, (_, d) => d),
      ),
    };
    const kernel = await prepare(gpu(), TOP, { vocab: rows[0]!.length, limit, drawn: rows.length + 1 });
    const words = await runAndRead(gpu(), [kernel(buffers)], buffers.best);
    expect(new Set(words.subarray(2 * TOP_K * rows.length))).toEqual(new Set([7]));
    return rows.map((_, d) => ({
      ids: [...words.subarray(2 * TOP_K * d, 2 * TOP_K * d + TOP_K)],
      logits: [...new Float32Array(words.buffer, 4 * TOP_K * (2 * d + 1), TOP_K)],
    }));
  }

  it("is exact of each of several rows", async () => {
    const rows = Array.from({ length: 5 }, (_, d) => randomFloats(1000, d));
    for (const [d, { ids }] of (await runAll(rows, 999)).entries()) {
      expect(ids).toEqual(rankOracle(rows[d]!, 999, TOP_K));
    }
  });

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
    await expect(prepare(gpu(), TOP, { vocab: 10, limit: 0, drawn: 1 })).rejects.toThrow(
      "the tokenizer has 0",
    );
    await expect(prepare(gpu(), TOP, { vocab: 10, limit: 11, drawn: 1 })).rejects.toThrow("1 to 10 ids");
  });
});
