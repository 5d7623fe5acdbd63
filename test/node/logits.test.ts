import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomTokens, VARIANTS, writeCheckpoint } from "../../fixtures/peers/checkpoint.ts";
import { compareLogits } from "../../fixtures/peers/metrics.ts";
import { PAIRINGS, type Pairing } from "../../fixtures/peers/pairings.ts";
import { python, torchLogits } from "../../fixtures/peers/programs.ts";
import { main } from "../../node/commands/main.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { fakeIo } from "../support/io.ts";

/** A prefill pass has 128 rows: these leave it partly empty, and `npm run compare` takes more. */
const TOKENS = 48;

/** Without PyTorch there is nothing to compare with; CI installs it, and fails here if it did not. */
const skip = python === undefined && process.env.CI !== "true";
if (skip) console.warn("ziya logits beside PyTorch: skipped, because no python3 here has torch");

/** Each variant as f32, and one as halves. */
const CHECKPOINTS = [
  ...VARIANTS.map((variant) => ({ variant, dtype: "F32" as const })),
  { variant: VARIANTS[0]!, dtype: "F16" as const },
].map(({ variant, dtype }) => {
  const folder = mkdtempSync(join(tmpdir(), "ziya-logits-"));
  const { vocab_size: vocab } = writeCheckpoint(folder, variant, dtype);
  return { variant, dtype, folder, vocab, tokens: randomTokens(TOKENS, vocab, variant.seed) };
});
let references: Float64Array[];
beforeAll(() => {
  if (skip) return;
  references = torchLogits(
    CHECKPOINTS.map(({ folder: model, tokens }) => ({ model, tokens, out: join(model, "pytorch.bin") })),
  );
});
afterAll(() => {
  for (const { folder } of CHECKPOINTS) rmSync(folder, { recursive: true });
});

/** Halves that are stored as halves lose nothing: their bound is that of f32. */
const HALVES: Pairing = { ...PAIRINGS[0]!, weights: "f16" };
const OF_F32 = PAIRINGS.filter(({ peer }) => peer === "pytorch");

const CASES = CHECKPOINTS.flatMap((checkpoint, i) =>
  (checkpoint.dtype === "F16" ? [HALVES] : OF_F32).map((pairing) => ({
    ...checkpoint,
    ...pairing,
    name: `${checkpoint.variant.name}, of ${checkpoint.dtype}`,
    i,
  })),
);

describe.skipIf(skip)("ziya logits beside PyTorch in float64", () => {
  test.each(CASES)("$name, weights $weights, cache $cache: mean KL below $bound", async (found) => {
    const { folder, tokens, vocab, weights, cache, bound, i } = found;
    const logits = await ziyaLogits(folder, tokens, weights, cache);
    const agreement = compareLogits(references[i]!, logits, vocab);
    expect(agreement.meanKl).toBeLessThan(bound);
    expect(agreement.sameTop).toBe(TOKENS);
  });
});

/** Logits by the command line, as a script would have them. */
async function ziyaLogits(
  model: string,
  tokens: readonly number[],
  weights: string,
  cache: string,
): Promise<Float32Array> {
  const out = join(model, "ziya.bin");
  const flags = Object.entries({
    model,
    tokens: tokens.join(),
    out,
    weights,
    kv: cache,
    ...testDeviceOptions(),
  });
  const io = fakeIo();
  const code = await main(["logits", ...flags.flatMap(([name, value]) => [`--${name}`, String(value)])], io);
  expect({ code, err: io.err() }).toEqual({ code: 0, err: "" });
  const bytes = readFileSync(out);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
