import { describe, expect, it } from "vitest";
import { missingFeatures } from "../../src/gpu/features.ts";
import {
  ATTENTION_MERGE,
  ATTENTION_SPLIT,
  ATTENTION_WHOLE,
  splitBytes,
} from "../../src/kernels/attention-split.ts";
import { type AttentionShape, cacheBytes } from "../../src/kernels/cache.ts";
import { ADD, EMBED_GROUP, GATE, HEAD, QKV } from "../../src/kernels/fused.ts";
import { GEMV_WAYS } from "../../src/kernels/gemv.ts";
import { type Matrix, slabBuffers, slabShape } from "../../src/kernels/matrix.ts";
import { ropeTable } from "../../src/kernels/rope.ts";
import { type Arithmetic, canMultiply, vectorBytes } from "../../src/kernels/vector.ts";
import { type Buffers, type Operation, prepare } from "../../src/kernels/way.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { cacheWords } from "../support/cache.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { storeMatrix } from "../support/matrix.ts";
import { randomFloats } from "../support/random.ts";
import { type Row, uploadRows } from "../support/rows.ts";
import { storeVector } from "../support/vector.ts";

/**
 * What each row gives in a pass of several is to the bit what it gives in a pass of its own, whose numbers fused.test.ts and
 * attention-split.test.ts hold to float64.
 */
const EPS = 1e-6;

/** [rows that a pass has room for, its rows]: in ways for cards the last two are two and four workgroups of the same rows. */
const PASSES = [
  [2, 2],
  [4, 3],
  [8, 5],
  [16, 16],
] as const;

/** The ways for processors, which have a kernel of their own for several rows, and of cards the least to compile. */
const WAYS = GEMV_WAYS.filter(({ tile }) => tile === "narrow" || tile === "8x1");

/** Every format in every way that it has. */
const KINDS = WAYS.flatMap((way) =>
  WEIGHT_FORMATS.filter((format) => canMultiply(format, way.arithmetic)).map((format) => ({
    ...way,
    format,
  })),
);

const gpu = useGpu();

function has({ needs }: (typeof WAYS)[number]): boolean {
  return missingFeatures(needs, gpu().features).length === 0;
}

/** The row whose vector is no numbers, which is nobody else's matter: what comes of it may be any NaN. */
const NONE = 1;

/** The vectors of `room` rows, one behind the other, and each alone. */
function vectors(arithmetic: Arithmetic, room: number, columns: number, none = -1) {
  const bytes = vectorBytes(arithmetic, columns);
  const all = gpu().buffer("vectors", room * bytes);
  const encoder = gpu().device.createCommandEncoder();
  const each = Array.from({ length: room }, (_, t) => {
    const x = randomFloats(columns, 10 + t, 1 + t);
    if (t === none) x.fill(Number.NaN);
    const { buffer } = storeVector(gpu(), arithmetic, x, 100 + t);
    encoder.copyBufferToBuffer(buffer, 0, all, t * bytes, bytes);
    return buffer;
  });
  gpu().device.queue.submit([encoder.finish()]);
  return { all, each };
}

/** The words of `count` rows, all of the same length, a row each. */
async function wordsOf(buffer: GPUBuffer, room: number, count: number): Promise<Uint32Array[]> {
  const words = await runAndRead(gpu(), [], buffer);
  const length = words.length / room;
  return Array.from({ length: count }, (_, t) => words.slice(t * length, (t + 1) * length));
}

/** What a kernel leaves. */
type Left = Record<string, GPUBuffer>;

/**
 * Runs a product for several rows at once and for each alone.
 * @param leave Makes what it leaves, for passes with room for so many rows, of which the first is row `t`.
 */
async function comparePasses<Shape extends { readonly arithmetic: Arithmetic; readonly columns: number }>(
  operation: Operation<Shape, string>,
  matrix: Matrix,
  shape: Shape,
  way: string,
  leave: (room: number, t: number) => Left,
  bound: Left,
  passes: readonly (readonly [room: number, count: number])[] = PASSES,
): Promise<void> {
  const most = Math.max(...passes.map(([room]) => room));
  const { all, each } = vectors(shape.arithmetic, most, shape.columns, NONE);
  const one = await prepare(gpu(), operation, shape, way);
  const weights = slabBuffers(matrix.slabs[0]!);
  const wanted = new Map<string, Uint32Array>();
  for (const [t, input] of each.entries()) {
    const left = leave(1, t);
    await runAndRead(gpu(), [one({ input, ...weights, ...bound, ...left } as Buffers<string>)], input);
    for (const [name, buffer] of Object.entries(left))
      wanted.set(`${name} of row ${t}`, await runAndRead(gpu(), [], buffer));
  }
  for (const [room, count] of passes) {
    const few = await prepare(gpu(), operation, { ...shape, tokens: room }, way);
    const left = leave(room, 0);
    await runAndRead(gpu(), [few({ input: all, ...weights, ...bound, ...left } as Buffers<string>)], all);
    for (const [name, buffer] of Object.entries(left)) {
      const got = await wordsOf(buffer, room, count);
      for (const [t, words] of got.entries()) {
        if (t === NONE) continue;
        const which = `${name} of row ${t}`;
        expect(words, `${which} of ${room}`).toEqual(
          wanted.get(which)!.subarray(0, words.length), // a buffer is a multiple of 16 bytes
        );
        expect(new Set(words).size).toBeGreaterThan(8);
      }
    }
  }
}

/** A random matrix of one slab, and what every product's shape has of it. */
function product(format: WeightFormat, arithmetic: Arithmetic, rows: number, columns: number) {
  const { matrix } = storeMatrix(gpu(), format, randomFloats(rows * columns, 1, 0.05), columns);
  return { matrix, shape: { ...slabShape(matrix, matrix.slabs[0]!), arithmetic, eps: EPS } };
}

/** x of `room` rows from row `t` on, and what add stores of it. */
function residual(arithmetic: Arithmetic, rows: number): (room: number, t: number) => Left {
  return (room, t) => {
    const x = new Float32Array(room * rows);
    for (let i = 0; i < room; i++) x.set(randomFloats(rows, 50 + t + i), i * rows);
    return { x: upload(gpu(), x), stored: gpu().buffer("stored", room * vectorBytes(arithmetic, rows)) };
  };
}

async function compareHeads(format: WeightFormat, arithmetic: Arithmetic, way: string): Promise<void> {
  const { matrix, shape } = product(format, arithmetic, 85, 96);
  const leave = (room: number) => ({ logits: gpu().buffer("logits", 4 * room * 85) });
  await comparePasses(HEAD, matrix, { ...shape, outputs: 85 }, way, leave, {}, [[8, 5]]);
}

describe.each(KINDS.map((way) => [way.name, way.format, way] as const))(
  "%s of weights as %s, each row of a pass as alone:",
  (name, format, way) => {
    const { arithmetic } = way;
    const isNarrow = name.includes("narrow");

    it("add", async () => {
      if (!has(way)) return;
      // A processor that has ways of its own compiles those for cards for half a minute: one format of them there.
      if (!isNarrow && format !== "q4" && gpu().features.has("narrow")) return;
      const { matrix, shape } = product(format, arithmetic, 96, 704);
      const bound = { norm: upload(gpu(), randomFloats(96, 5)) };
      const passes = isNarrow && format === "q4" ? PASSES : ([[8, 5]] as const);
      const leave = residual(arithmetic, 96);
      await comparePasses(ADD, matrix, { ...shape, storedColumns: 96 }, name, leave, bound, passes);
    });

    it.runIf(isNarrow && format === "q4")("add at the width of 13B", async () => {
      if (!has(way)) return;
      const { matrix, shape } = product(format, arithmetic, 64, 13824);
      const bound = { norm: upload(gpu(), randomFloats(64, 5)) };
      const leave = residual(arithmetic, 64);
      await comparePasses(ADD, matrix, { ...shape, storedColumns: 64 }, name, leave, bound, [[8, 8]]);
    });

    it.runIf(format === "q4")("gate", async () => {
      if (!has(way)) return;
      const { matrix, shape } = product(format, arithmetic, 192, 160);
      const leave = (room: number) => ({
        stored: gpu().buffer("stored", room * vectorBytes(arithmetic, 96)),
      });
      await comparePasses(GATE, matrix, { ...shape, storedColumns: 96 }, name, leave, {}, [[8, 5]]);
    });

    it.runIf(format === "q4")("the head", async () => {
      if (has(way)) await compareHeads(format, arithmetic, name);
    });
  },
);

it("the head by lanes that have several rows of the matrix, one after the other, gives each row what it gives alone", () =>
  compareHeads("q4", "f32", "f32 8x4"));

const CONTEXT = 64;
/** Rows of two sequences, of which the second has several; the last two are left over from an earlier pass. */
const ROWS: readonly Row[] = [
  { token: 3, position: 9, sequence: 0, place: 11 },
  { token: 6, position: 30, sequence: 1, place: 34 },
  { token: 2, position: 31, sequence: 1, place: 35 },
  { token: 0, position: 32, sequence: 1, place: 48 },
  { token: 5, position: CONTEXT, sequence: 0, place: 12 },
  { token: 1, position: 12, sequence: 0, place: 20 },
  { token: 4, position: 13, sequence: 0, place: 21 },
];
const COUNT = 5;

/** The rows of a pass, behind which there are some of an earlier one. */
function severalRows(): GPUBuffer {
  const buffer = uploadRows(gpu(), ROWS);
  gpu().device.queue.writeBuffer(buffer, 0, Uint32Array.of(COUNT));
  return buffer;
}

/** Two sequences in pages of 16 that follow no order. */
function attentionOf(cache: AttentionShape["cache"]): AttentionShape {
  return { heads: 4, kvHeads: 2, headDim: 64, context: CONTEXT, cache, page: 16, pages: 8 };
}
const PAGES = Uint32Array.of(4, 2, 7, 0, 1, 5, 3, 6);

it.each(
  WAYS.flatMap((way) =>
    (way.tile === "narrow" ? (["f16", "q4"] as const) : (["f16"] as const)).map(
      (cache) => [way.name, cache, way] as const,
    ),
  ),
)(
  "qkv, %s, with a cache as %s puts each row where it belongs, and none that is not the pass's",
  async (name, cache, way) => {
    if (!has(way)) return;
    const { arithmetic } = way;
    const attention = attentionOf(cache);
    const columns = 96;
    const { matrix, shape } = product("q4", arithmetic, 8 * attention.headDim, columns);
    const { all, each } = vectors(arithmetic, 8, columns);
    const table = upload(gpu(), ropeTable(attention.headDim, CONTEXT, 10000));
    const make = () => ({
      keys: gpu().buffer("keys", cacheBytes(attention)),
      values: gpu().buffer("values", cacheBytes(attention)),
    });
    const weights = slabBuffers(matrix.slabs[0]!);
    const qBytes = 4 * attention.heads * attention.headDim;
    const [alone, together] = [make(), make()];
    const one = await prepare(gpu(), QKV, { ...shape, attention }, name);
    const wanted: Uint32Array[] = [];
    for (const [t, row] of ROWS.slice(0, COUNT).entries()) {
      const q = gpu().buffer("q", qBytes);
      const rows = uploadRows(gpu(), [row]);
      const dispatch = one({ input: each[t], ...weights, table, rows, ...alone, q } as Buffers<string>);
      wanted.push(await runAndRead(gpu(), [dispatch], q));
    }
    const few = await prepare(gpu(), QKV, { ...shape, attention, tokens: 8 }, name);
    const q = gpu().buffer("q", 8 * qBytes);
    const buffers = { input: all, ...weights, table, rows: severalRows(), ...together, q };
    await runAndRead(gpu(), [few(buffers as Buffers<string>)], q);
    const got = await wordsOf(q, 8, 8);
    expect(got.slice(0, COUNT)).toEqual(wanted);
    // One is past the context, and three are not the pass's.
    for (const words of got.slice(COUNT - 1)) expect(words.every((word) => word === 0)).toBe(true);
    for (const binding of ["keys", "values"] as const) {
      const held = await runAndRead(gpu(), [], together[binding]);
      expect(held).toEqual(await runAndRead(gpu(), [], alone[binding]));
      expect(new Set(held).size).toBeGreaterThan(64);
    }
  },
);

it("embed group looks the token of each row up", async () => {
  const columns = 96;
  const { matrix, shape } = product("q4", "f32", 7, columns);
  const bound = { ...slabBuffers(matrix.slabs[0]!), norm: upload(gpu(), randomFloats(columns, 3)) };
  const run = async (rows: GPUBuffer, tokens: number) => {
    const x = gpu().buffer("x", 4 * tokens * columns);
    const stored = gpu().buffer("stored", tokens * vectorBytes("f32", columns));
    const embed = await prepare(gpu(), EMBED_GROUP, { ...shape, storedColumns: columns, tokens });
    await runAndRead(gpu(), [embed({ ...bound, x, rows, stored } as Buffers<string>)], x);
    return { x: await wordsOf(x, tokens, tokens), stored: await wordsOf(stored, tokens, tokens) };
  };
  const got = await run(severalRows(), 8);
  for (const [t, row] of ROWS.slice(0, COUNT).entries()) {
    const { x, stored } = await run(uploadRows(gpu(), [row]), 1);
    expect(got.x[t]).toEqual(x[0]);
    expect(got.stored[t]).toEqual(stored[0]);
  }
  for (const words of got.x.slice(COUNT)) expect(words.every((word) => word === 0)).toBe(true);
});

/** Ways of attention, with caches that they have a part of their own for. */
const ATTENTION = [
  ...ATTENTION_SPLIT.ways.flatMap(({ name, needs }) =>
    (["f16", "q4"] as const).map((cache) => ["split", name, cache, needs] as const),
  ),
  ...ATTENTION_WHOLE.ways.map(({ name, needs }) => ["whole", name, "f16", needs] as const),
];

it.each(ATTENTION)(
  "attention %s, %s, over a cache as %s sees of each row its own sequence",
  async (kind, name, cache, needs) => {
    if (missingFeatures(needs, gpu().features).length > 0) return;
    const attention = attentionOf(cache);
    const width = attention.heads * attention.headDim;
    const [keys, values] = [2, 3].map((seed) => {
      const positions = attention.page * attention.pages;
      return upload(
        gpu(),
        cacheWords(randomFloats(attention.kvHeads * positions * attention.headDim, seed), cache),
      );
    });
    const pages = upload(gpu(), PAGES);
    const queries = randomFloats(8 * width, 1, 2);
    const run = async (rows: GPUBuffer, q: Float32Array, tokens: number) => {
      const shape = { ...attention, splits: 2, arithmetic: "f32", tokens } as const;
      const stored = gpu().buffer("stored", tokens * vectorBytes("f32", width));
      const parts = gpu().buffer("parts", tokens * splitBytes(attention, 2));
      const buffers = { q: upload(gpu(), q), keys: keys!, values: values!, rows, pages };
      const dispatches =
        kind === "whole"
          ? [(await prepare(gpu(), ATTENTION_WHOLE, shape, name))({ ...buffers, stored })]
          : [
              (await prepare(gpu(), ATTENTION_SPLIT, shape, name))({ ...buffers, parts }),
              (await prepare(gpu(), ATTENTION_MERGE, shape))({ shares: parts, stored }),
            ];
      await runAndRead(gpu(), dispatches, stored);
      return wordsOf(stored, tokens, tokens);
    };
    const got = await run(severalRows(), queries, 8);
    for (const [t, row] of ROWS.slice(0, COUNT).entries()) {
      const [wanted] = await run(uploadRows(gpu(), [row]), queries.slice(t * width, (t + 1) * width), 1);
      expect(got[t], `row ${t}`).toEqual(wanted);
      expect(new Set(wanted).size).toBeGreaterThan(width / 2);
    }
  },
);
