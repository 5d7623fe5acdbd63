import { describe, expect, it } from "vitest";
import { DAWN_SUBGROUP_MATRIX } from "../../node/host.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { OPERATIONS } from "../../src/kernels/operations.ts";
import { checkScenes } from "../../src/model/check/check.ts";
import { isWrong } from "../../src/model/check/checked.ts";
import { checkFew } from "../../src/model/check/few.ts";
import { Scene } from "../../src/model/check/scene.ts";
import { destroyState } from "../../src/model/state.ts";
import { breaking } from "../support/broken.ts";
import { testDeviceOptions, useGpu } from "../support/gpu.ts";
import { allows, CONFIG, dispatchOf, ROWS, type Subject, stateOf, subjectsOf } from "../support/subjects.ts";

type Name = keyof typeof OPERATIONS;

/** By shader file, an operation whose check sees when it is wrong, and how: the least to compile of those that link with it. */
const CASES: Readonly<Record<string, readonly [operation: Name, find: string, replace: string]>> = {
  add: ["add", "x[at] + products", "x[at] - products"],
  advance: ["advance", "best[d].x, best[d].y", "best[d].y, best[d].x"],
  argmax: ["argmax", "id = i;", "id = i ^ 1u;"],
  attention_decode: ["attention", "weights[lane.index] = weight", "weights[lane.index] = 1.0"],
  attention_matrix: ["attention", "/ sum;", "* sum;"],
  attention_merge: ["attentionMerge", "total += weight *", "total +="],
  attention_split: ["attentionSplit", "high += weights[start + i] * value.high", "high += value.high"],
  attention_split_narrow: ["attentionSplit", "high += share * value.high", "high += value.high"],
  attention_tiles: ["attention", "exp(mine - larger)", "exp(0.99 * (mine - larger))"],
  attention_tiles_narrow: ["attention", "first + lane < seen", "first + lane <= seen"],
  cache_f16: ["rope", "pack2x16float(held.zw)", "pack2x16float(held.wz)"],
  cache_f32: ["rope", "return v;", "return v.yxzw;"],
  codes_q4: ["rope", "own.w << 12u", "own.w << 11u"],
  codes_q8: ["rope", "own.w << 24u", "own.w << 23u"],
  dot_f16_f32: ["head", "unpack2x16float(words.w)", "unpack2x16float(words.z)"],
  dot_q4: ["head", "0.25 * xs.y", "0.25 * xs.x"],
  dot_q4_f16: [
    "head",
    "fma(low(odd, base), bitcast<vec2<f16>>(x.y)",
    "fma(low(odd, base), bitcast<vec2<f16>>(x.x)",
  ],
  dot_q4_f32: ["head", "lift(word >> 8u)", "lift(word >> 4u)"],
  dot_q4_i8: ["head", "dot4I8Packed(high.w, x[1].w)", "dot4I8Packed(high.w, x[1].z)"],
  dot_q4_narrow: ["head", "(codes.y >> 4u) & 12u", "(codes.y >> 4u) & 4u"],
  dot_q8: ["head", "fma(scale.y, groups.y", "fma(scale.x, groups.y"],
  dot_q8_f16: [
    "head",
    "step.sums.z * dotGroup(c, d, step.at + 4u)",
    "step.sums.x * dotGroup(c, d, step.at + 4u)",
  ],
  dot_q8_f32: ["head", "dot(fourOf(b.w), input[x + 7u])", "dot(fourOf(b.w), input[x + 6u])"],
  dot_q8_i8: ["head", "dot4I8Packed(b.w, x[1].w)", "dot4I8Packed(b.w, x[1].z)"],
  dot_q8_narrow: ["head", "w.scale.y * (x.groups[2]", "w.scale.x * (x.groups[2]"],
  embed: ["embed", "weights8(row, octet)", "weights8(row ^ 1u, octet)"],
  embed_group: ["embedGroup", "value * norm[column]", "1.01 * value * norm[column]"],
  few_quads: ["linearOfQuads", "select(first, later, lane >= 4u)", "first"],
  gate: ["gate", "1.0 + exp(-gate)", "1.0 + exp(gate)"],
  gemv: ["head", "shares[i * SHARE_STRIDE + lane]", "shares[i * SHARE_STRIDE + (lane ^ 1u)]"],
  gemv_narrow: ["head", "min(member, 4u)", "min(member, 3u)"],
  gemv_narrow_f32: ["head", "octet / 8u * RECORD", "octet * 2u"],
  gemv_narrow_few: ["linearOfQuads", "r >= 2u", "r >= 3u"],
  hadamard: ["mix", "countOneBits(lane & j)", "(lane & j)"],
  head: ["head", "= products[i] *", "= products[i ^ 1u] *"],
  input_f16: ["head", "bitcast<vec4f>(input[at + 8u])", "bitcast<vec4f>(input[at + 8u]).zyxw"],
  input_f32: ["head", "+ group / 4u][group % 4u]", "+ group / 4u][0u]"],
  input_i8: ["head", "token * VECTOR + PAIRS * RECORD + group / 4u", "token * VECTOR + group / 4u"],
  input_norm: ["head", "sum / f32(COLUMNS)", "sum / f32(COLUMNS + 1u)"],
  leave_share: [
    "attentionSplit",
    "parts[into + 2u * lane + 1u] = high",
    "parts[into + 2u * lane + 1u] = low",
  ],
  leave_whole: ["attentionWhole", "high[i] / total", "high[i]"],
  matmul: ["linear", "sums[4u * q + 3u] += vec4f(dot(x3, w0)", "sums[4u * q + 3u] += vec4f(dot(x2, w0)"],
  matmul_matrix: ["linear", "halves(w.low, w.high)", "halves(w.high, w.low)"],
  matmul_narrow: ["linearOfQuads", "first + 32u * half + i % 32u", "first + 32u * (1u - half) + i % 32u"],
  matmul_narrow_f32: ["linear", "dot(a, w3.low)", "dot(b, w3.low)"],
  matmul_tiles: ["linearOfQuads", "scales * vec4f(dots[t])", "scales.yxzw * vec4f(dots[t])"],
  matvec: ["linear", "dot(w.high, high)", "dot(w.high, low)"],
  merged_mixed: ["attentionMerge", "let back = hadamard(four, lane);", "let back = four;"],
  merged_plain: ["attentionMerge", "return y;", "return 1.01 * y;"],
  mix: ["mix", "let mixed = hadamard(y[at], lane)", "let mixed = 2.0 * hadamard(y[at], lane)"],
  moments: ["squares", "squares += value * value", "squares += value"],
  narrow: ["head", "handedRound(lower, upper, 3u)", "handedRound(lower, upper, 2u)"],
  octet_f16: ["attentionSplit", "unpack2x16float(words.w)", "unpack2x16float(words.z)"],
  octet_f32: ["attentionSplit", "values[2u * at + 1u]", "values[2u * at]"],
  octet_q4: ["attentionSplit", "lift(codes >> 4u)", "lift(codes >> 3u)"],
  octet_q8: ["attentionSplit", "lift(codes.y >> 8u)", "lift(codes.y >> 7u)"],
  one_group: ["gate", "rows + half * further", "rows"],
  next_row: ["advance", "rows[row + 2u], position)", "rows[row + 2u], position + 1u)"],
  pages: ["rope", "pages[sequence * SEQUENCE_PAGES", "pages[0u * SEQUENCE_PAGES"],
  pick: ["pick", "rows.drawn[d / 4u][d % 4u]", "rows.drawn[d / 4u][0u]"],
  product: ["linear", "Y_COLUMNS + FIRST_ROW + row", "Y_COLUMNS + FIRST_ROW + (row ^ 1u)"],
  project: ["project", "signs >>= 4u;", "signs >>= 3u;"],
  put_mixed: ["qkv", "keys[FIRST_WORD + group] = rounded.group", "keys[FIRST_WORD + group] = rounded.codes"],
  put_plain: ["qkv", "select(0u, HEAD_DIM / 8u, lane >= 4u)", "select(4u, HEAD_DIM / 8u, lane >= 4u)"],
  qkv: ["qkv", "select(sine, -sine, lane < 4u)", "select(-sine, sine, lane < 4u)"],
  quantise: ["quantise", "round(x[first + i] * inverse)", "trunc(x[first + i] * inverse)"],
  queries: ["attention", "GROUP + query % GROUP)", "GROUP + (query + 1u) % GROUP)"],
  quartet_f16: ["attention", "unpack2x16float(words.y)", "unpack2x16float(words.x)"],
  quartet_f32: ["attention", "return values[at];", "return values[at].yxzw;"],
  quartet_q4: ["attention", "at % 2u * 16u", "0u"],
  quartet_q8: ["attention", "values[FIRST_WORD + at / 8u]", "values[FIRST_WORD + at / 4u]"],
  reduce_subgroup: ["argmax", "largest = max(", "largest = min("],
  reduce_workgroup: ["argmax", "reduceScratch[lane.index].x = max(", "reduceScratch[lane.index].x = min("],
  rmsnorm: ["rmsnorm", "x[row + i] * scale", "x[row + i] * scale * 0.999"],
  rope: ["rope", "y * cosine + x * sine", "y * cosine - x * sine"],
  rope_mixed: ["rope", "y * cosine + x * sine", "y * cosine - x * sine"],
  round_group: ["rope", "round((y - m) * factor)", "floor((y - m) * factor)"],
  rows: ["embed", "  padding1: u32,\n", "  padding1: u32,\n  padding2: vec4u,\n"],
  penalise: ["penalise", "logit > 0x80000000u", "logit < 0x80000000u"],
  sample: ["sample", "sum <= drawn", "2u * sum <= drawn"],
  sketch: ["sketch", "sums[6] += high.z * value", "sums[6] += high.w * value"],
  splits: ["attentionSplit", "row.position + 1u, CONTEXT)", "row.position, CONTEXT)"],
  store_f16: ["attentionMerge", "return halves.x + halves.y;", "return halves.x;"],
  store_f32: ["attentionMerge", "sums += fourSums[8u * lane + i];", "sums = fourSums[8u * lane + i];"],
  store_i8: ["attentionMerge", "quants.x + quants.y + quants.z + quants.w", "quants.x + quants.y + quants.z"],
  store_rounded: ["attentionMerge", "sum += fourSums[8u * lane + i]", "sum = fourSums[8u * lane + i]"],
  stored_group: ["attentionMerge", "storedTile[i] = value", "storedTile[i] = 1.01 * value"],
  sums_together: ["head", "stepOf(firstToken + t, pair)", "stepOf(firstToken + t, pair ^ 1u)"],
  swiglu: ["swiglu", "1.0 + exp(-gate)", "1.0 + exp(gate)"],
  tile_q4: ["linearOfQuads", "words.y, words.y >> 4u", "words.x, words.y >> 4u"],
  tile_q8: ["linearOfQuads", "vec4f(scale.x, 0.0, scale.y, 0.0)", "vec4f(scale.x, 0.0, scale.x, 0.0)"],
  topk: ["topk", "~pairs[lane].y", "~pairs[lane ^ 1u].y"],
  turns: ["head", "select(0u, lane / LANES, LANES < 32u)", "1u"],
  weights_f16: ["embed", "unpack2x16float(words.w)", "unpack2x16float(words.z)"],
  weights_f32: ["embed", "weight[at + 1u]", "weight[at]"],
  weights_q4: ["embed", "(two.z << 4u)", "(two.z << 3u)"],
  weights_q8: ["embed", "[group % 2u]", "[0u]"],
};

/** Nothing but names and sizes, which do not compile, or of which a kernel is told, when they are others. */
const DECLARED = ["columns", "heads", "matrices", "tokens_1", "tokens_8"];

const gpu = useGpu(testDeviceOptions(), [DAWN_SUBGROUP_MATRIX]);
const { rung, limits } = testDeviceOptions();

function filesOf({ way, shape }: Subject): readonly string[] {
  return way.files(shape);
}

/** Of the ways of a product of one row, the least to compile come first. */
const SMALLEST = ["narrow", "8x1"];

function subjectWith(file: string, name: Name): Subject | undefined {
  const possible = [...subjectsOf(name)].filter(
    (subject) => allows(gpu(), subject) && filesOf(subject).includes(file),
  );
  const small = SMALLEST.map((end) => possible.find(({ way }) => way.name.endsWith(end)));
  return small.find((subject) => subject) ?? possible[0];
}

/** The scene that a subject's check is of. */
function sceneOf(subject: Subject, state: ReturnType<typeof stateOf>): Scene {
  const { attention } = state;
  if (subject.isOfSeveral) return Scene.several(attention, CONFIG.vocab_size, ROWS, 21);
  return Scene.one(attention, CONFIG.vocab_size, subject.operation.name === "attention whole" ? 99 : 300);
}

it("has a case for every shader that a pass is made of", () => {
  const files = new Set<string>();
  for (const name of Object.keys(OPERATIONS) as Name[]) {
    for (const subject of subjectsOf(name)) for (const file of filesOf(subject)) files.add(file);
  }
  expect([...Object.keys(CASES), ...DECLARED].sort()).toEqual([...files].sort());
});

describe.runIf(!rung && !limits)("the check of a kernel", () => {
  const untried: string[] = [];
  const tried = new Set<Name>();

  it.each(Object.entries(CASES))("sees a wrong %s", async (file, [name, find, replace]) => {
    const subject = subjectWith(file, name);
    if (!subject) return void untried.push(file);
    const before = gpu().allocated;
    const errorOn = async (on: Gpu) => {
      const state = stateOf(gpu(), subject);
      const made = await dispatchOf(on, state, subject);
      const [found, ...others] = await checkScenes(gpu(), CONFIG, state, [
        [sceneOf(subject, state), [made.dispatch]],
      ]);
      made.destroy();
      destroyState(state);
      expect(others).toEqual([]);
      expect(found).toMatchObject({ kernel: subject.operation.name, way: subject.way.name });
      return found!;
    };
    // Each way that is right is held to float64 in test/kernels: here it takes one to see that the check is.
    if (!tried.has(name)) expect(isWrong(await errorOn(gpu()))).toBe(false);
    tried.add(name);
    const wrong = await errorOn(breaking(gpu(), { [file]: [find, replace] }));
    expect(wrong.error).toBeGreaterThan(wrong.allowed);
    expect(gpu().allocated).toBe(before);
  });

  /** Of a pass of several rows alone. */
  it.each([
    ["i8 narrow", "few_vectors", "min(first + lane / 4u, TOKENS - 1u)", "first"],
    ["f32 8x1", "sums_in_turn", "stepOf(firstToken + t, pair)", "stepOf(firstToken, pair)"],
  ])("sees that a row of several as %s is another one", async (way, file, find, replace) => {
    const subject = [...subjectsOf("head")].find((one) => one.way.name === way && one.slab!.format === "q4");
    if (!subject || !allows(gpu(), subject)) return;
    const several = { ...subject, shape: { ...(subject.shape as object), tokens: 2 } };
    const state = stateOf(gpu(), subject);
    const one = await dispatchOf(gpu(), state, subject, true);
    for (const on of [gpu(), breaking(gpu(), { [file]: [find, replace] })]) {
      const few = await dispatchOf(on, state, several, true);
      const ahead = { argmax: [], candidates: [], "penalised argmax": [], "penalised candidates": [] };
      const pass = { append: [], head: [few.dispatch], ahead, tokens: 2 };
      const found = await checkFew(gpu(), CONFIG, state, pass, { append: [], head: [one.dispatch] });
      expect(found.map(({ kernel, way }) => [kernel, way])).toEqual([["head", `${way}, 2 rows`]]);
      expect(isWrong(found[0]!)).toBe(on !== gpu());
      few.destroy();
    }
    one.destroy();
    destroyState(state);
  });

  it("is of every file, where the adapter has what its kernels need", () => {
    const { features } = gpu();
    const all = ["subgroups", "narrow", "dot", "f16"] as const;
    if (!all.every((feature) => features.has(feature))) return;
    const hasMatrices = [...features].some((feature) => feature.startsWith("matrix"));
    expect(untried).toEqual(hasMatrices ? [] : ["attention_matrix", "matmul_matrix"]);
  });
});
