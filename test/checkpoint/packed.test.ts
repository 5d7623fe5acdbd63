import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { bytesSource, INDEX, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { hashSource, indexJson, readSums, verifyFiles } from "../../src/convert/manifest.ts";
import { type PlannedShard, planShards, type ReadBlock, shardBytes } from "../../src/convert/plan.ts";
import { CheckpointError } from "../../src/errors.ts";
import { narrowToHalves, widenHalves } from "../../src/f16.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { scalesOf, storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { randomFloats } from "../support/random.ts";
import { folder, safetensors } from "./bytes.ts";

const SHAPES: Record<string, readonly number[]> = {
  "model.embed_tokens.weight": [301, 288], // an odd number of groups, in a whole and a short block
  "model.layers.0.mlp.down_proj.weight": [64, 32],
  "model.norm.weight": [33],
  "lm_head.weight": [130, 96],
};
const values = new Map(
  Object.entries(SHAPES).map(([name, shape], i) => [
    name,
    randomFloats(
      shape.reduce((a, b) => a * b),
      i,
    ),
  ]),
);
const tensors = Object.entries(SHAPES).map(([name, shape]) => ({ name, shape, dtype: "F32" as const }));

const read: ReadBlock = async ({ name, columns, format }, first, count) => {
  const rows = values.get(name)!.slice(first * columns, (first + count) * columns);
  return columns === 1 ? { words: new Uint32Array(rows.buffer) } : packRows(format, rows, columns);
};
const sha256 = () => {
  const hash = createHash("sha256");
  return { update: (bytes: Uint8Array) => void hash.update(bytes), hex: () => hash.digest("hex") };
};

async function bytesOf(shard: PlannedShard): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of shardBytes(shard, read)) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

/** A converted folder: its files by name. */
async function convert(format: WeightFormat, shardSize?: number): Promise<Record<string, Uint8Array>> {
  const plan = planShards(tensors, format, shardSize);
  const files: Record<string, Uint8Array> = {};
  for (const shard of plan) files[shard.file] = await bytesOf(shard);
  const shards = await Promise.all(
    Object.entries(files).map(([name, bytes]) => hashSource(bytesSource(name, bytes), sha256())),
  );
  files["config.json"] = new TextEncoder().encode("{}");
  const config = await hashSource(bytesSource("config.json", files["config.json"]), sha256());
  const source = { name: "pytorch_model.bin", size: 5, sha256: "0".repeat(64) };
  files[INDEX] = new TextEncoder().encode(
    indexJson(format, plan, { shards, files: [config], sources: [source] }),
  );
  return files;
}

async function expectVector(checkpoint: Checkpoint): Promise<void> {
  expect(await checkpoint.readRows("model.norm.weight", 0, 33)).toEqual(values.get("model.norm.weight"));
}

describe.each(WEIGHT_FORMATS.filter((format) => scalesOf(format)))("packed as %s", (format) => {
  test.each([undefined, 10_000])(
    "shards of at most %s bytes hold what packRows() gave",
    async (shardSize) => {
      const files = await convert(format, shardSize);
      expect(Object.keys(files).length > 3).toBe(shardSize !== undefined);
      const checkpoint = await openCheckpoint(folder(files));
      expect(checkpoint.packed!.format).toBe(format);
      expect([...checkpoint.tensors.values()]).toEqual(
        expect.arrayContaining(
          tensors.map(({ name, shape }) => ({ name, shape, dtype: shape.length === 1 ? "F32" : format })),
        ),
      );
      await expectVector(checkpoint);
      for (const {
        name,
        shape: [rows, columns],
      } of tensors) {
        if (columns === undefined) continue;
        for (const [first, count] of [
          [0, rows!],
          [0, 1],
          [1, 1],
          [7, 13],
          [rows! - 1, 1],
          [5, 0],
        ] as const) {
          const slab = values.get(name)!.slice(first * columns, (first + count) * columns);
          expect(await checkpoint.packed!.readRows(name, first, count)).toEqual(
            packRows(format, slab, columns),
          );
        }
      }
    },
  );

  test("a scale that is not finite is refused, with where", async () => {
    const files = await convert(format, 1);
    const [name, file] = Object.entries(files)[3]!; // lm_head.weight, whose scales are its last bytes
    const perRow = storedBytes(format, 1, 96).scales;
    // The largest half and what follows it, as either of the two that a block begins with.
    for (const [i, code] of [0x7bff, 0x7c00, 0x7e00, 0xfc00, 0x7c00].entries()) {
      const at = file.length - 30 * perRow;
      new DataView(file.buffer).setUint32(at, i === 4 ? code : code << 16, true);
      const { packed } = await openCheckpoint(folder(files));
      const reading = packed!.readRows("lm_head.weight", 64, 66);
      if (i === 0) await reading;
      else {
        await expect(reading).rejects.toThrow(CheckpointError);
        await expect(reading).rejects.toThrow(
          `lm_head.weight.scales in ${name}: A scale at row 100 is no finite number of ${format}: `,
        );
        await packed!.readRows("lm_head.weight", 0, 100);
      }
    }
  });

  test("exact weights are not there, and vectors are not packed", async () => {
    const checkpoint = await openCheckpoint(folder(await convert(format)));
    await expect(checkpoint.readRows("lm_head.weight", 0, 1)).rejects.toThrow(
      `is packed as ${format}, and its exact weights are not there`,
    );
    await expect(checkpoint.packed!.readRows("model.norm.weight", 0, 1)).rejects.toThrow("is not packed");
    await expect(checkpoint.packed!.readRows("lm_head.weight", 130, 1)).rejects.toThrow(
      "Wanted 1 rows from row 130",
    );
    await expect(checkpoint.packed!.readRows("absent", 0, 1)).rejects.toThrow("has no tensor absent");
  });
});

test("f16 and f32 are plain safetensors", async () => {
  for (const format of ["f16", "f32"] as const) {
    const checkpoint = await openCheckpoint(folder(await convert(format, 50_000)));
    expect(checkpoint.packed).toBeUndefined();
    await expectVector(checkpoint);
    const wanted = values.get("lm_head.weight")!.slice();
    if (format === "f16") widenHalves(narrowToHalves(wanted), wanted);
    expect(await checkpoint.readRows("lm_head.weight", 0, 130)).toEqual(wanted);
  }
});

describe("a plan", () => {
  test("of Ziya-LLaMA-13B is 7.4 GB of q4 in shards of 256 MiB", () => {
    const layers = Array.from({ length: 40 }, (_, l) => `model.layers.${l}`).flatMap((layer) => [
      { name: `${layer}.input_layernorm.weight`, shape: [5120], dtype: "F16" as const },
      ...["q", "k", "v", "o"].map((p) => ({
        name: `${layer}.self_attn.${p}_proj.weight`,
        shape: [5120, 5120],
        dtype: "F16" as const,
      })),
      { name: `${layer}.post_attention_layernorm.weight`, shape: [5120], dtype: "F16" as const },
      ...["gate", "up"].map((p) => ({
        name: `${layer}.mlp.${p}_proj.weight`,
        shape: [13824, 5120],
        dtype: "F16" as const,
      })),
      { name: `${layer}.mlp.down_proj.weight`, shape: [5120, 13824], dtype: "F16" as const },
    ]);
    const vocabulary = ["model.embed_tokens.weight", "lm_head.weight"].map((name) => ({
      name,
      shape: [39424, 5120],
      dtype: "F16" as const,
    }));
    const plan = planShards(
      [...vocabulary, ...layers, { name: "model.norm.weight", shape: [5120], dtype: "F16" }],
      "q4",
    );
    const size = plan.reduce((sum, shard) => sum + shard.size, 0);
    expect(size).toBeGreaterThan(7.36e9);
    expect(size).toBeLessThan(7.37e9);
    expect(plan.length).toBe(30);
    expect(Math.max(...plan.map((shard) => shard.size))).toBeLessThan(256 * 1024 * 1024 + 64 * 1024);
    expect(plan[0]!.file).toBe("model-00001-of-00030.safetensors");
  });

  test("is the same for the same tensors", () => {
    expect(planShards(tensors, "q4", 10_000)).toEqual(planShards(tensors, "q4", 10_000));
  });

  test("refuses what it cannot write", () => {
    const plan = (shape: number[]) => planShards([{ name: "a", shape, dtype: "F16" }], "q4");
    expect(() => plan([2, 48])).toThrow("a has 48 columns, which is no multiple of 32");
    expect(() => plan([2, 2, 32])).toThrow("only vectors and matrices");
    expect(() => plan([])).toThrow("only vectors and matrices");
  });

  test("is held to what is read", async () => {
    const [shard] = planShards(tensors, "q4");
    const short: ReadBlock = async (tensor, first, count) => {
      const { words } = await read(tensor, first, count);
      return { words };
    };
    const writing = (async () => {
      for await (const _ of shardBytes(shard!, short));
    })();
    await expect(writing).rejects.toThrow("and was planned with");
  });
});

describe("verifying", () => {
  test("reads every byte of a sound folder, and says which files it was made from", async () => {
    const files = await convert("q4", 20_000);
    const progress: number[] = [];
    const { shards, files: others } = await verifyFiles(folder(files), sha256, (done) => progress.push(done));
    expect([...shards, ...others].length).toBe(Object.keys(files).length - 1);
    expect(progress.at(-1)).toBe([...shards, ...others].reduce((sum, { size }) => sum + size, 0));
    const { sources } = await readSums((await folder(files)(INDEX))!);
    expect(sources).toEqual([{ name: "pytorch_model.bin", size: 5, sha256: "0".repeat(64) }]);
  });

  test.each(["model-00002-of-00002.safetensors", "config.json"])(
    "names the file that is damaged, cut short or missing: %s",
    async (name) => {
      const files = await convert("q4", 20_000);
      const bytes = files[name]!;
      const damaged = bytes.slice();
      damaged[bytes.length - 1]! ^= 1;
      for (const [file, message] of [
        [damaged, `${name} has the SHA-256`],
        [bytes.slice(1), `${name} has ${bytes.length - 1} bytes; ${INDEX} says ${bytes.length}`],
        [undefined, `${name} is missing`],
      ] as const) {
        const { [name]: _, ...others } = files;
        const checking = verifyFiles(folder(file ? { ...others, [name]: file } : others), sha256);
        await expect(checking).rejects.toThrow(CheckpointError);
        await expect(checking).rejects.toThrow(message);
      }
    },
  );

  test("refuses an index whose sums are not of the shards that are read", async () => {
    const files = await convert("q4", 20_000);
    const index = JSON.parse(new TextDecoder().decode(files[INDEX]));
    const { shards } = index.metadata;
    const checking = (sums: unknown) => {
      const metadata = { ...index.metadata, shards: sums };
      return verifyFiles(folder({ ...files, [INDEX]: { ...index, metadata } }), sha256);
    };
    await expect(checking(shards.slice(1))).rejects.toThrow(
      `has tensors of ${shards[0].name} and no checksum of it`,
    );
    await expect(checking([...shards, { ...shards[0], name: "more" }])).rejects.toThrow(
      "has a checksum of more and no tensors in it",
    );
    await expect(checking([...shards, shards[0]])).rejects.toThrow(`has two checksums of ${shards[0].name}`);
    const odd = { ...index, weight_map: { ...index.weight_map, a: { toString: 1 } } };
    await expect(verifyFiles(folder({ ...files, [INDEX]: odd }), sha256)).rejects.toThrow(
      'has tensors of {"toString":1} and no checksum of it',
    );
    await checking(shards);
  });

  test("refuses an index without sums, with bad ones, or none", async () => {
    const verify = (index: unknown) => verifyFiles(folder({ [INDEX]: index }), sha256);
    await expect(verify({ weight_map: {} })).rejects.toThrow("by another program");
    await expect(
      verify({ metadata: { shards: [{ name: "a", size: 1, sha256: "x" }], sources: [] } }),
    ).rejects.toThrow("a checksum that is none");
    await expect(
      verify({
        metadata: { shards: [{ name: "../a", size: 1, sha256: "0".repeat(64) }], sources: [] },
        weight_map: { a: "../a" },
      }),
    ).rejects.toThrow("plain name");
    const deep = `{"metadata":{"shards":[${"[".repeat(5000)}${"]".repeat(5000)}],"sources":[]}}`;
    await expect(verify(new TextEncoder().encode(deep))).rejects.toThrow("is nested more than 64 deep");
    await expect(verifyFiles(folder({}), sha256)).rejects.toThrow("the conversion is not finished");
  });
});

describe("refuses", () => {
  test("a folder whose conversion was stopped", async () => {
    const { [INDEX]: index, ...files } = await convert("q4");
    await expect(openCheckpoint(folder({ ...files, [UNFINISHED_INDEX]: index }))).rejects.toThrow(
      "a conversion that was stopped",
    );
  });

  test("shards of different conversions", async () => {
    const [four, eight] = [await convert("q4", 7000), await convert("q8", 7000)];
    expect(Object.keys(four)).toEqual(Object.keys(eight));
    const name = Object.keys(four)[1]!;
    await expect(openCheckpoint(folder({ ...four, [name]: eight[name] }))).rejects.toThrow(
      "are stored as q4 and q8",
    );
  });

  const metadata = { format: "ziya-webgpu", version: "2", weights: "q4" };
  const words = { dtype: "U8", shape: [2, 32], data_offsets: [0, 64] };
  const scales = { dtype: "U32", shape: [2, 4], data_offsets: [64, 96] };
  test.each([
    [
      "an earlier version",
      { __metadata__: { ...metadata, version: "1", weights: "q4a" } },
      0,
      "is packed as q4a in version 1 of the format; this release reads version 2 of q8, q4: convert the model again.",
    ],
    [
      "a later version",
      { __metadata__: { ...metadata, version: "3" } },
      0,
      "in version 3 of the format; this release reads version 2 of q8, q4: update ziya-webgpu, or convert the",
    ],
    ["another format", { __metadata__: { ...metadata, weights: "q3" } }, 0, "is packed as q3"],
    [
      "a format out of the prototype",
      { __metadata__: { ...metadata, weights: "toString" } },
      0,
      "is packed as toString",
    ],
    [
      "scales alone",
      { "a.scales": { ...scales, data_offsets: [0, 32] } },
      32,
      "holds a.scales without its matrix",
    ],
    ["words alone", { a: words }, 64, 'the tensor "a" with the dtype U8'],
    [
      "words of another type",
      { a: { ...words, dtype: "I8" }, "a.scales": scales },
      96,
      "which is no q4 matrix",
    ],
    [
      "scales of another type",
      { a: words, "a.scales": { ...scales, dtype: "F32" } },
      96,
      "which is no q4 matrix",
    ],
    [
      "scales of another shape",
      { a: words, "a.scales": { ...scales, shape: [1, 8] } },
      96,
      "which is no q4 matrix",
    ],
    [
      "words of three dimensions",
      { a: { ...words, shape: [2, 32, 1] }, "a.scales": scales },
      96,
      "which is no q4 matrix",
    ],
  ])("%s", async (_, header, size, message) => {
    const opening = openSafetensors(
      bytesSource("model.safetensors", safetensors({ __metadata__: metadata, ...header }, size)),
    );
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(message);
  });
});
