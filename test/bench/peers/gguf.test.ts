import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GGML_TYPES, writeGgufFile } from "../../../bench/peers/gguf-file.ts";
import { QUANTISED, writeRandomGguf } from "../../../bench/peers/random-gguf.ts";
import { peersFolder } from "../../../fixtures/peers/install.ts";
import { fromHalf } from "../../../src/f16.ts";
import { parseConfig } from "../../../src/model/config.ts";
import { tensorShapes } from "../../../src/model/weights.ts";

const CONFIG = parseConfig(
  JSON.stringify({
    hidden_size: 256,
    intermediate_size: 768,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: 64,
    vocab_size: 300,
  }),
);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-gguf-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** block_q4_0 of ggml-common.h, by its formula: x = d (q - 8), the low nibbles first. */
function readQ4_0(block: DataView): number[] {
  const d = fromHalf(block.getUint16(0, true));
  const byte = (i: number) => block.getUint8(2 + (i % 16));
  return Array.from({ length: 32 }, (_, i) => d * ((i < 16 ? byte(i) & 15 : byte(i) >> 4) - 8));
}

/** block_q4_K of ggml-common.h: x = d · scale · q - dmin · minimum, scales and minima as get_scale_min_k4 reads them. */
function readQ4_K(block: DataView): number[] {
  const [d, dmin] = [fromHalf(block.getUint16(0, true)), fromHalf(block.getUint16(2, true))];
  const packed = (i: number) => block.getUint8(4 + i);
  return Array.from({ length: 256 }, (_, i) => {
    const j = i >> 5;
    const scale = j < 4 ? packed(j) & 63 : (packed(j + 4) & 15) | ((packed(j - 4) >> 6) << 4);
    const minimum = j < 4 ? packed(j + 4) & 63 : (packed(j + 4) >> 4) | ((packed(j) >> 6) << 4);
    const byte = block.getUint8(16 + 32 * (i >> 6) + (i & 31));
    return d * scale * (j % 2 ? byte >> 4 : byte & 15) - dmin * minimum;
  });
}

const READERS = { Q4_0: readQ4_0, Q4_K: readQ4_K };

describe.each(QUANTISED)("a file of random %s", (type) => {
  test("has weights around zero whose root mean square is 1 / sqrt(columns)", async () => {
    const path = join(folder, `${type}.gguf`);
    await writeRandomGguf(path, CONFIG, type);
    const { weights, bytes } = GGML_TYPES[type];
    // lm_head [300, 256] is the last tensor; its length is a multiple of the alignment.
    const size = ((300 * 256) / weights) * bytes;
    expect(size % 32).toBe(0);
    const file = await readFile(path);
    const view = new DataView(file.buffer, file.byteOffset + file.length - size, size);
    const values: number[] = [];
    for (let at = 0; at < size; at += bytes) {
      values.push(...READERS[type](new DataView(view.buffer, view.byteOffset + at, bytes)));
    }
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    expect(values.length).toBe(300 * 256);
    // 76,800 values: their mean is off by 1 / 277 of the spread; values of a Q4_K group share their minimum.
    expect(Math.abs(mean)).toBeLessThan(spread / 20);
    // Blocks repeat nothing in a pattern of this size, and 76,800 values tell the spread to a hundredth.
    expect(Math.abs(spread * 16 - 1)).toBeLessThan(0.03);
  });

  // Nothing else of the suite needs llama.cpp, which is 160 MB: here where "npm run bench:peers" has installed it.
  test.skipIf(!existsSync(join(peersFolder, "node_modules", "node-llama-cpp")))(
    "is read by node-llama-cpp as it was meant",
    async () => {
      const path = join(folder, `${type}-read.gguf`);
      await writeRandomGguf(path, CONFIG, type);
      const { readGgufFileInfo } = await import(
        join(peersFolder, "node_modules", "node-llama-cpp", "dist", "index.js")
      );
      const { metadata, fullTensorInfo } = await readGgufFileInfo(path);
      expect(metadata.llama.embedding_length).toBe(256);
      expect(fullTensorInfo.length).toBe(tensorShapes(CONFIG).size);
      const down = fullTensorInfo.find(({ name }: { name: string }) => name === "blk.1.ffn_down.weight");
      expect(down.dimensions.map(Number)).toEqual([768, 256]);
      expect(down.ggmlType).toBe(GGML_TYPES[type].code);
    },
  );
});

test("rows without whole blocks, and data of another length, are refused by name", async () => {
  const odd = { ...CONFIG, intermediate_size: 704 };
  const path = join(folder, "refused.gguf");
  await expect(writeRandomGguf(path, odd, "Q4_K")).rejects.toThrow(
    "model.layers.0.mlp.down_proj.weight has 704 columns; Q4_K has blocks of 256.",
  );
  const none = writeGgufFile(path, CONFIG, "Q4_0", () => [new Uint8Array(18)]);
  await expect(none).rejects.toThrow("model.embed_tokens.weight was given 18 bytes; wanted 43200.");
});
