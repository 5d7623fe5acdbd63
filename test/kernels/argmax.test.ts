import { describe, expect, it } from "vitest";
import { ARGMAX } from "../../src/kernels/argmax.ts";
import { prepare } from "../../src/kernels/way.ts";
import { rankOracle } from "../oracle/selection.ts";
import { runAndRead, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";
import { LOGITS, NAN_LOGITS } from "../support/logits.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

const RUNGS = [
  ["highest", {}],
  ["core", { rung: "core" }],
] as const;

describe.each(RUNGS)("argmax on the %s rung", (_, options) => {
  const gpu = useGpu({ ...testDeviceOptions(), ...options });

  async function run(logits: Float32Array, limit: number) {
    return (await runAll([logits], limit))[0];
  }

  /** Of several rows' logits, as many as are drawn; a place behind them stays as it is. */
  async function runAll(rows: readonly Float32Array[], limit: number) {
    const vocab = rows[0]!.length;
    const buffers = {
      logits: upload(gpu(), Float32Array.from(rows.flatMap((row) => [...row]))),
      best: upload(gpu(), new Uint32Array(2 * (rows.length + 1)).fill(7)),
      rows: uploadRows(
        gpu(),
        rowsFrom(0, 20),
        Array.from(rows, (_, d) => d),
      ),
    };
    const kernel = await prepare(gpu(), ARGMAX, { vocab, limit, drawn: rows.length + 1 });
    const words = await runAndRead(gpu(), [kernel(buffers)], buffers.best);
    expect([...words.subarray(2 * rows.length)]).toEqual([7, 7]);
    return rows.map((_, d) => ({ id: words[2 * d]!, logit: new Float32Array(words.buffer)[2 * d + 1]! }));
  }

  it("is exact of each of several rows", async () => {
    const rows = Array.from({ length: 5 }, (_, d) => randomFloats(1000, d));
    rows[3] = NAN_LOGITS;
    const wanted = rows.map((row) => rankOracle(row, 999, 1)[0]!);
    expect(await runAll(rows, 999)).toEqual(wanted.map((id, d) => ({ id, logit: rows[d]![id] })));
  });

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
    await expect(prepare(gpu(), ARGMAX, { vocab: 10, limit: 0, drawn: 1 })).rejects.toThrow(
      "the tokenizer has 0",
    );
    await expect(prepare(gpu(), ARGMAX, { vocab: 10, limit: 11, drawn: 1 })).rejects.toThrow("1 to 10 ids");
  });
});
