import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { randomTokens, VARIANTS, type Variant, writeCheckpoint } from "../../fixtures/peers/checkpoint.ts";
import { compareLogits } from "../../fixtures/peers/metrics.ts";
import { PAIRINGS, type Pairing } from "../../fixtures/peers/pairings.ts";
import { python, torchLogits } from "../../fixtures/peers/programs.ts";
import { main } from "../../node/commands/main.ts";
import type { Config } from "../../src/model/config.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { fakeIo } from "../support/io.ts";

/** A prefill pass has 128 rows: these leave it partly empty, and `npm run compare` takes more. */
const TOKENS = 48;

/** Without PyTorch there is nothing to compare with; CI installs it, and fails here if it did not. */
const skip = python === undefined && process.env.CI !== "true";
if (skip) console.warn("ziya logits beside PyTorch: skipped, because no python3 here has torch");

describe.skipIf(skip).each(VARIANTS)("ziya logits beside PyTorch in float64, $name", (variant) => {
  const folder = mkdtempSync(join(tmpdir(), "ziya-logits-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  let config: Config;
  let tokens: number[];
  let reference: Float64Array;
  beforeAll(() => {
    config = writeCheckpoint(folder, variant, "F32");
    tokens = randomTokens(TOKENS, config.vocab_size, variant.seed);
    reference = torchLogits(folder, tokens, join(folder, "pytorch.bin"));
  });

  const pairings = PAIRINGS.filter(({ peer }) => peer === "pytorch");
  test.each(pairings)("weights $weights, cache $cache: mean KL below $bound", async (pairing) => {
    const { weights, cache, bound } = pairing;
    const logits = await ziyaLogits(folder, tokens, weights, cache);
    const agreement = compareLogits(reference, logits, config.vocab_size);
    expect(agreement.meanKl).toBeLessThan(bound);
    expect(agreement.sameTop).toBe(TOKENS);
  });
});

test.skipIf(skip)("a checkpoint of halves that are stored as halves loses nothing", async () => {
  const [variant] = VARIANTS as [Variant];
  const folder = mkdtempSync(join(tmpdir(), "ziya-logits-"));
  try {
    const { vocab_size: vocab } = writeCheckpoint(folder, variant, "F16");
    const tokens = randomTokens(TOKENS, vocab, variant.seed);
    const reference = torchLogits(folder, tokens, join(folder, "pytorch.bin"));
    const logits = await ziyaLogits(folder, tokens, "f16", "f32");
    const [{ bound }] = PAIRINGS as [Pairing];
    expect(compareLogits(reference, logits, vocab).meanKl).toBeLessThan(bound);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Logits by the command line, as a script would have them. */
async function ziyaLogits(
  model: string,
  tokens: readonly number[],
  weights: string,
  cache: string,
): Promise<Float32Array> {
  const out = join(model, "ziya.bin");
  const flags = Object.entries({ model, tokens: tokens.join(), out, weights, cache, ...testDeviceOptions() });
  const io = fakeIo();
  const code = await main(["logits", ...flags.flatMap(([name, value]) => [`--${name}`, String(value)])], io);
  expect({ code, err: io.err() }).toEqual({ code: 0, err: "" });
  const bytes = readFileSync(out);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
