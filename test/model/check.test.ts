import { beforeAll, describe, expect, it } from "vitest";
import { DeviceError } from "../../src/errors.ts";
import { uniform } from "../../src/generate/random.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Bound } from "../../src/gpu/kernel.ts";
import type { CacheFormat } from "../../src/kernels/cache.ts";
import { OPERATIONS } from "../../src/kernels/operations.ts";
import { isWrong } from "../../src/model/check/checked.ts";
import { DRAW } from "../../src/model/check/drawing.ts";
import { parseConfig } from "../../src/model/config.ts";
import { type LoadOptions, loadModel } from "../../src/model/load-model.ts";
import { LlamaModel } from "../../src/model/model.ts";
import { stacks } from "../../src/model/weights.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { breaking, type Changes } from "../support/broken.ts";
import { configJson, randomFolder } from "../support/checkpoint.ts";
import { runAndRead, testDeviceOptions, useGpu } from "../support/gpu.ts";

const gpu = useGpu();
const { rung, limits } = testDeviceOptions();

interface Options {
  readonly weights?: WeightFormat;
  readonly cache?: CacheFormat;
  readonly context?: number;
  readonly chunk?: number;
  readonly decode?: string;
}

/** A model without weights, its kernels checked. */
async function create(
  on: Gpu,
  changes: Record<string, unknown> = {},
  { weights = "q4", cache = "f16", chunk = 24, ...options }: Options = {},
) {
  const config = parseConfig(configJson({ num_hidden_layers: 1, ...changes }));
  const context = options.context ?? config.max_position_embeddings;
  const storage = { formatOf: () => weights, cache, context, cacheTokens: 2 * context, chunk };
  return LlamaModel.create(on, config, {
    ...storage,
    tokenCount: config.vocab_size - 1,
    check: true,
    ...options,
  });
}

const CASES: [Record<string, unknown>, Options][] = [
  [{ max_position_embeddings: 320 }, {}],
  [
    { num_key_value_heads: 2, vocab_size: 1300 },
    { weights: "q8", cache: "q8", chunk: 80 },
  ],
  [
    { hidden_size: 96, num_attention_heads: 3 },
    { weights: "f16", cache: "q4" },
  ],
  [
    { hidden_size: 96, num_attention_heads: 2 },
    { weights: "f32", cache: "f32", chunk: 5, context: 5 },
  ],
  [
    { tie_word_embeddings: true, rope_theta: 500 },
    { chunk: 1, context: 1 },
  ],
];

/** Whether all words of a buffer are zeros. */
async function isEmpty(bound: Bound): Promise<boolean> {
  return (await runAndRead(gpu(), [], bound)).every((word) => word === 0);
}

describe("a check of every kernel", () => {
  const kernels = new Set<string>();

  // Of the others one driver tells as much as all of them, and each compiles for itself.
  it.each(rung || limits ? CASES.slice(0, 1) : CASES)(
    "finds nothing wrong with %j as %j",
    async (changes, options) => {
      const before = gpu().allocated;
      const model = await create(gpu(), changes, options);
      expect(model.checked.filter(isWrong)).toEqual([]);
      expect(gpu().wrong.size).toBe(0);
      for (const { kernel } of model.checked) kernels.add(kernel);
      // What it was run on is as empty as it was.
      const { weights, state } = model;
      for (const stack of stacks(weights)) {
        const parts = "vector" in stack ? [stack.vector] : stack.matrix.slabs.map(({ weight }) => weight);
        for (const part of parts) expect(await isEmpty(part)).toBe(true);
      }
      const { keys, values } = state.layers[0]!;
      for (const buffer of [keys, values, state.pages, state.logits, state.best, state.rows.buffer]) {
        expect(await isEmpty(buffer)).toBe(true);
      }
      model.destroy();
      expect(gpu().allocated).toBe(before);
    },
  );

  it.runIf(!rung && !limits)("is of all that passes are made of", () => {
    const absent = Object.values(OPERATIONS).flatMap(({ name }) => (kernels.has(name) ? [] : [name]));
    const { features } = gpu();
    expect(absent.sort()).toEqual(
      [
        ...["column moments", "project", "sketch"], // of calibration alone
        ...(features.has("dot") ? [] : ["quantise", "linear of quads"]),
        ...(features.has("narrow") ? ["attention whole"] : []),
      ].sort(),
    );
  });

  it("draws by a number that the seed gives", () => {
    expect(Math.floor(uniform(DRAW.options.seed, DRAW.counter) * 2 ** 32)).toBe(DRAW.number);
  });

  it("reads tables and matrices that are split by rows", async () => {
    const on: Gpu = Object.create(gpu(), { workgroupLimit: { value: 64 } });
    const model = await create(on, { max_position_embeddings: 320, vocab_size: 300 });
    expect(model.weights.head.slabs.length).toBeGreaterThan(1);
    expect(model.checked.filter(isWrong)).toEqual([]);
    model.destroy();
  });
});

/** Kernels of each kind, of which each way has one of the files; check-shaders.test.ts has every file. */
const BROKEN: [kernel: string, changes: Changes][] = [
  [
    "attention split",
    {
      attention_split: ["high += weights[start + i] * value.high", "high += value.high"],
      attention_split_narrow: ["high += share * value.high", "high += value.high"],
    },
  ],
  ["attention whole", { leave_whole: ["high[i] / total", "high[i]"] }],
  ["gate", { gate: ["1.0 + exp(-gate)", "1.0 + exp(gate)"] }],
  ["embed", { embed: ["weights8(row, octet)", "weights8(row ^ 1u, octet)"] }],
  ["rmsnorm", { rmsnorm: ["x[row + i] * scale", "x[row + i] * scale * 0.999"] }],
  [
    "linear of quads",
    {
      matmul_narrow: ["first + 32u * half + i % 32u", "first + 32u * (1u - half) + i % 32u"],
      matmul_tiles: ["- own.y * minima", ""],
    },
  ],
  ["quantise", { quantise: ["round(x[first + i] * inverse)", "trunc(x[first + i] * inverse)"] }],
  [
    "attention",
    {
      attention_tiles: ["exp(mine - larger)", "exp(0.99 * (mine - larger))"],
      attention_tiles_narrow: ["first + lane < seen", "first + lane <= seen"],
      attention_decode: ["weights[lane.index] = weight", "weights[lane.index] = 1.0"],
    },
  ],
  ["swiglu", { swiglu: ["1.0 + exp(-gate)", "1.0 + exp(gate)"] }],
];

/** Those that other ways take the place of. */
const REPLACED = ["linear of quads", "quantise", "attention whole"];
/** Those whose ways differ where there are no subgroups. */
const OTHERWISE = ["attention", "attention split", "attention whole"];
const TRIED = limits ? [] : rung ? BROKEN.filter(([kernel]) => OTHERWISE.includes(kernel)) : BROKEN;

/** Why a model is refused; undefined where it is not. Its buffers are gone afterwards. */
async function refusal(on: Gpu, changes: Record<string, unknown>, options: Options) {
  const before = gpu().allocated;
  const refused = await create(on, changes, options).then(
    (model) => model.destroy(),
    (error: unknown) => error,
  );
  expect(gpu().allocated).toBe(before);
  return refused;
}

describe.runIf(TRIED.length > 0)("a kernel that is wrong", () => {
  const [changes, options] = CASES[0]!;
  let decode: string;
  const used = new Set<string>();
  beforeAll(async () => {
    // What is not broken is compiled once for all of them.
    const model = await create(gpu(), changes, options);
    const { decoding, checked } = model;
    decode = decoding.set === "plain" ? "plain" : decoding.way;
    for (const { kernel } of checked) used.add(kernel);
    model.destroy();
  });

  it.each(TRIED)("is told by its name, and refused where there is no other: %s", async (kernel, broken) => {
    if (!used.has(kernel)) return;
    const on = breaking(gpu(), broken);
    const refused = await refusal(on, changes, { ...options, decode });
    const wrong = [...on.wrong.keys()];
    expect(wrong.some((label) => label.startsWith(`${kernel} `))).toBe(true);
    // Two kinds of attention share what is broken.
    const [family] = kernel.split(" ");
    expect(wrong.filter((label) => !label.startsWith(`${family} `))).toEqual([]);
    if (REPLACED.includes(kernel)) return expect(refused).toBeUndefined();
    expect(refused).toBeInstanceOf(DeviceError);
    expect(String(refused)).toContain(`The kernel "${kernel}" is computed wrong by `);
    expect(String(refused)).toMatch(/\((off by [\d.]+ %|no number.*), where [\d.]+ % is allowed\)/);
  });

  it.runIf(!rung)("is told before calibration needs it first", async () => {
    const before = gpu().allocated;
    const on = breaking(gpu(), { moments: ["squares += value * value", "squares += value"] });
    for (const [device, isBroken] of [
      [gpu(), false],
      [on, true],
    ] as const) {
      const model = await create(device, changes, { ...options, decode });
      const calibrating = model.calibrate([[1, 2, 3]]);
      if (isBroken) {
        await expect(calibrating).rejects.toThrow('The kernel "column moments" is computed wrong by ');
      } else expect((await calibrating).size).toBeGreaterThan(0);
      const found = model.checked.filter(({ kernel }) => kernel === "column moments");
      expect(found.map(isWrong)).toEqual([isBroken]);
      model.destroy();
    }
    expect(gpu().allocated).toBe(before);
  });

  it("is one that writes past its rows", async () => {
    const on = breaking(gpu(), { rmsnorm: ["t >= rows.count", "t > rows.count"] });
    expect(String(await refusal(on, changes, { ...options, decode }))).toContain(
      "(no number, or leaves some where none belong, where 0.024 % is allowed)",
    );
  });

  it("is one that gives no number", async () => {
    const on = breaking(gpu(), { swiglu: ["/ (1.0", "/ (log(-abs(gate)) + 1.0"] });
    expect(String(await refusal(on, changes, { ...options, decode }))).toContain("no number");
  });

  it.runIf(!rung)("gives way to reductions without subgroups", async () => {
    if (!gpu().features.has("subgroups")) return;
    const on = breaking(gpu(), { reduce_subgroup: ["largest = max(", "largest = min("] });
    const model = await create(on, changes, { ...options, decode });
    const ways = model.checked.filter(({ kernel }) => kernel === "argmax");
    expect(ways.map((one) => [one.way, isWrong(one)])).toEqual([
      ["subgroup", true],
      ["workgroup", false],
    ]);
    model.destroy();
  });

  it.runIf(!rung)("of the fused ones leaves decoding to plain ones, whose tokens are right", async () => {
    const { open } = randomFolder(changes, 5);
    const logitsOf = async (on: Gpu, options: LoadOptions) => {
      const model = await loadModel(on, open, { weights: "f16", chunk: 24, ...options });
      const sequence = model.open();
      await model.forward(sequence, [7, 8, 9], "logits");
      const { logits } = await model.forward(sequence, [300], "logits");
      const found = { set: model.decoding.set, logits: logits.slice(), checked: model.checked.length };
      sequence.release();
      model.destroy();
      return found;
    };
    const on = breaking(gpu(), { add: ["x[at] + products", "x[at] - products"] });
    const wrong = await logitsOf(on, { check: false });
    expect(wrong.checked).toBe(0);
    const right = await logitsOf(on, {});
    const wanted = await logitsOf(gpu(), { decode: "plain" });
    expect(right.logits).toEqual(wanted.logits);
    expect(right.set).toBe("plain");
    expect(wrong.logits).not.toEqual(wanted.logits);
    expect(right.checked).toBeGreaterThan(0);
  });
});
