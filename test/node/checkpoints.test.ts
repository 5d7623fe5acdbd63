import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, embeddedModel, load } from "../../node/index.ts";
import { run } from "../support/convert.ts";
import { testDeviceOptions } from "../support/gpu.ts";

const BIAS = "model.layers.0.self_attn.q_proj.bias";
const MATRIX = "model.layers.1.mlp.down_proj.weight";
const DEVICE = Object.entries(testDeviceOptions()).flatMap(([name, value]) => [`--${name}`, String(value)]);

let folder = "";
const place = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-checkpoints-"));
  await writeFile(place("text.txt"), "法国的首都是哪里? What is 12 plus 7? ".repeat(40));
});
afterAll(() => rm(folder, { recursive: true }));

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** The embedded model with its safetensors file changed: the header's entries, and the tensors' bytes. */
async function changed(
  name: string,
  change: (entries: Record<string, Entry>, data: Buffer) => Buffer,
): Promise<string> {
  const path = place(name);
  await cp(embeddedModel, path, { recursive: true });
  const file = join(path, "model.safetensors");
  const bytes = await readFile(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, start));
  const data = change(header, bytes.subarray(start));
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(file, Buffer.concat([length, text, data]));
  return path;
}

const ways = (model: string): [string, string[]][] => [
  ["chat", ["hi", "--model", model, ...DEVICE]],
  ["generate", ["--prompt", "a", "--model", model, ...DEVICE]],
  ["logits", ["--tokens", "1", "--out", place("logits"), "--model", model, ...DEVICE]],
  ["perplexity", ["--file", place("text.txt"), "--model", model, ...DEVICE]],
  ["convert", ["--model", model, "--out", place("out")]],
  ["convert", ["--model", model, "--out", place("out"), "--calibrate", place("text.txt"), ...DEVICE]],
];

describe("a checkpoint that is not the model of its config", () => {
  test("is refused in the same words by all that reads one", async () => {
    const model = await changed("biased", (entries, data) => {
      entries[BIAS] = { dtype: "F32", shape: [32], data_offsets: [data.length, data.length + 128] };
      return Buffer.concat([data, Buffer.alloc(128)]);
    });
    for (const [command, flags] of ways(model)) {
      const { code, out, err } = await run(command, ...flags);
      expect({ command, code, out }).toEqual({ command, code: 1, out: "" });
      expect(err).toMatch(
        new RegExp(
          `^ziya: The model of this config.json has no place for ${BIAS} in (model/)?model.safetensors: `,
        ),
      );
    }
    await expect(load({ model, ...testDeviceOptions() })).rejects.toThrow(CheckpointError);
  });
});

describe("a weight that is not finite", () => {
  test("names its file, its tensor and its row there, whoever meets it", async () => {
    const [row, column] = [1, 2];
    const model = await changed("holed", (entries, data) => {
      const { shape, dtype, data_offsets: offsets } = entries[MATRIX]!;
      expect(dtype).toBe("F16");
      const copy = Buffer.from(data);
      copy.writeUInt16LE(0x7e00, offsets[0] + 2 * (row * shape[1]! + column));
      return copy;
    });
    // The two ways to read weights: onto the adapter, and into files.
    for (const [command, flags] of [ways(model)[0]!, ways(model)[4]!]) {
      const { code, out, err } = await run(command, ...flags);
      expect({ command, code, out }).toEqual({ command, code: 1, out: "" });
      expect(err).toMatch(
        new RegExp(
          `^ziya: ${MATRIX} in (model/)?model.safetensors: The weight at row ${row}, column ${column} is NaN: `,
        ),
      );
    }
  });
});
