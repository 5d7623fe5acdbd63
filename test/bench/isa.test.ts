import { beforeAll, describe, expect, it } from "vitest";
import { parseAmd } from "../../bench/isa/amd.ts";
import { overBudget, readBudgets } from "../../bench/isa/budgets.ts";
import { ADAPTERS, type AdapterName, busiest, CARDS } from "../../bench/isa/cards.ts";
import { findLaboratory } from "../../bench/isa/laboratory.ts";
import { boundOn, hottest } from "../../bench/isa/model.ts";
import { parseNvidia } from "../../bench/isa/nvidia.ts";
import { loopsOf } from "../../bench/isa/program.ts";
import { type Report, reportsOn } from "../../bench/isa/report.ts";
import { WEIGHT_FORMATS } from "../../src/stored.ts";

/** Six vector instructions that turn 16 bytes of binding 1 into a sum, in a loop that is entered at its end. */
const AMD = `shared_size: 256
Compute Shader
disasm:
BB0:
	s_load_b256 s[16:23], s[2:3], null                          ; f40c0404 f8000000
	s_branch BB2                                                ; bfa00001
BB1:
	buffer_load_b128 v[8:11], v6, s[20:23], 0 offen             ; e05c0000 80440806
	buffer_load_b32 v7, v6, s[16:19], 0 offen                   ; e0500000 80450707
	s_waitcnt vmcnt(0)                                          ; bf890bf7
	v_and_b32_e32 v12, 15, v8                                   ; 364e268f
	v_cvt_f32_u32_e32 v12, v12                                  ; 7e4e0d27
	v_dual_fmac_f32 v1, v12, v7 :: v_dual_mul_f32 v2, v9, v7    ; 56481d22
	v_exp_f32_e32 v3, v3                                        ; 7e4e0d27
	s_nop 0                                                     ; bf800000
	(then repeated 2 times)
BB2:
	s_cbranch_scc0 BB1                                          ; bfa1feae
BB3:
	s_endpgm                                                    ; bfb00000

*** SHADER STATS ***
VGPRs: 48
Spilled SGPRs: 3
Spilled VGPRs: 2
Code size: 96
Scratch size: 8
Subgroups per SIMD: 16
`;

/** The same by another compiler: the end of the loop lies behind the end of the program. */
const NVIDIA = `shared_size: 64
NAK IR after legalize:
block 0 L1 [] -> {
      r1      = mov rZ
} -> []
NAK IR after calc_instr_deps:
block 0 L3 [] -> {
      ur0     = s2r sr[0x25]                              // delay=1 wr:1
} -> [1]
block 1 L5 [0, 3] -> {
      r12 p0  = iadd3 r11 c[0x1][0x10] rZ                 // delay=1
      r13     = iadd3.x rZ c[0x1][0x14] rZ p0 pF          // delay=1
      r20..24 = ld.global.a64.constant.b128 [r12..14], p0 // delay=2 rd:0 wr:1
      r30     = mov r12                                   // delay=1
      r8      = ld.shared.strong.cta.b32 [r30+0x10], pT   // delay=2 rd:0 wr:1
      r9      = i2f.f32.u32 r20                           // delay=2
      r1      = ffma.ftz r9 r8 r1                         // delay=4
@!p0            bra pT L9                                 // delay=1
} -> [3, 2]
block 2 L7 [1] -> {
                exit                                      // delay=1
} -> []
block 3 L9 [1] -> {
                bra pT L5                                 // delay=1
} -> [1]

Stage: compute
Instruction count: 12
Max warps/SM: 40
Spills to mem: 0
Spills to reg: 4
Num GPRs: 32
SLM size: 0
`;

const BINDINGS = ["x", "weight"];
/** Of q4: 16 bytes are 32 weights. */
const STREAMS = [{ binding: "weight", values: 1024, bits: 4 }];
const NOTHING = { integer: 0, special: 0, dot: 0, matrix: 0, memory: 0, workgroup: 0, scalar: 0, control: 0 };

describe("what RADV prints", () => {
  const program = parseAmd(AMD);

  it("has its figures", () => {
    expect(program.figures).toEqual({
      registers: 48,
      workgroupBytes: 256,
      subgroups: 16,
      spills: 2,
      scratchBytes: 8,
      codeBytes: 96,
    });
  });

  it("has a loop, whose loads are told apart by their bindings", () => {
    const [, loop, ...others] = loopsOf(program);
    expect(others).toEqual([]);
    const loads = loop!.instructions.flatMap(({ load }) => load ?? []);
    expect(loads).toEqual([
      { bytes: 16, binding: 1 },
      { bytes: 4, binding: 0 },
    ]);
  });

  it("is counted for a weight, or for a product", () => {
    const counts = { ...NOTHING, float: 1, integer: 1, convert: 1, special: 1, memory: 2, control: 5 };
    const ofOne = hottest(program, BINDINGS, STREAMS, 1);
    expect(ofOne).toMatchObject({ counts, unit: "value", lanesPerUnit: 6 / 32 });
    // A pair of instructions in one has two products.
    expect(hottest(program, BINDINGS, STREAMS, 8)).toMatchObject({ unit: "product", lanesPerUnit: 6 / 2 });
    expect(hottest(program, BINDINGS, [], 1)).toMatchObject({ counts, unit: undefined });
  });

  it.each([
    ["v[8:11]", 64], // four registers of 64 lanes are 16 x 16 numbers
    ["v[8:15]", 128],
  ])("has a matrix of 16 x 16 in %s: %i products a lane", (sums, products) => {
    const matrix = `v_wmma_f32_16x16x16_f16 ${sums}, v[16:23], v[24:31], ${sums}`;
    const found = hottest(parseAmd(AMD.replace("v_exp_f32_e32 v3, v3", matrix)), BINDINGS, STREAMS, 8);
    expect(found).toMatchObject({ counts: { matrix: 1 }, unit: "product", lanesPerUnit: 6 / (2 + products) });
  });

  it("is refused where an instruction or a figure is not known", () => {
    expect(() => parseAmd(AMD.replace("v_and_b32", "q_and_b32"))).toThrow(
      'The instruction "q_and_b32_e32 v12, 15, v8" is of no known class',
    );
    expect(() => parseAmd(AMD.replace("VGPRs: 48", ""))).toThrow('printed no "VGPRs"');
  });
});

describe("what NAK prints", () => {
  it("has the same loop and figures, of its last listing", () => {
    const program = parseNvidia(NVIDIA);
    expect(program.figures).toMatchObject({ registers: 32, spills: 0, codeBytes: 192, subgroups: 40 });
    const counts = { ...NOTHING, float: 1, integer: 3, convert: 1, memory: 1, workgroup: 1, control: 2 };
    const found = hottest(program, BINDINGS, STREAMS, 1);
    expect(found).toMatchObject({ counts, unit: "value", lanesPerUnit: 7 / 32 });
    expect(found.perUnit!.integer).toBe(3 / 32);
  });

  it("is refused where an instruction is not known", () => {
    expect(() => parseNvidia(NVIDIA.replace("= i2f.f32", "= q2f.f32"))).toThrow("q2f.f32.u32 r20");
  });
});

it("gives a loop inside a loop its own instructions, where a branch enters it twice", () => {
  const instruction = (opcode: string) => ({ opcode, class: "integer", products: 0 }) as const;
  // 1 … 4 is a loop; 2 and 3 are one in it, which 1 may enter by either.
  const successors = [[1], [2, 3], [3], [2, 4], [1, 5], []];
  const blocks = successors.map((next, i) => ({ instructions: [instruction(`${i}`)], successors: next }));
  const loops = loopsOf({ blocks, figures: parseAmd(AMD).figures });
  expect(loops.map(({ depth, instructions }) => [depth, instructions.map(({ opcode }) => opcode)])).toEqual([
    [0, ["0", "5"]],
    [1, ["1", "4"]],
    [2, ["2", "3"]],
  ]);
});

it("counts a product by the matrices, where a loop inside theirs has some too", () => {
  const one = (name: "matrix" | "float", products: number) =>
    ({ opcode: name, class: name, products }) as const;
  // 1 … 3 is a loop of matrices; 2 is one in it, of a lane's own products.
  const blocks = [
    { instructions: [], successors: [1] },
    { instructions: [one("matrix", 64), one("float", 0)], successors: [2] },
    { instructions: [one("float", 1)], successors: [2, 3] },
    { instructions: [], successors: [1, 4] },
    { instructions: [], successors: [] },
  ];
  const program = { blocks, figures: parseAmd(AMD).figures };
  expect(hottest(program, BINDINGS, STREAMS, 8)).toMatchObject({
    counts: { matrix: 1 },
    lanesPerUnit: 2 / 64,
  });
});

it("asks of a card what its pipe that fills first has to do at full bandwidth", () => {
  const card = { ...CARDS.find(({ name }) => name === "H200")!, units: 100, gigahertz: 2, bandwidth: 1000 };
  const perUnit = { ...NOTHING, float: 2, integer: 1, convert: 1 };
  // 1 / 16 of a clock for the conversion, against 4 / 128 to issue all and 1 / 64 for the integer.
  expect(busiest(card, perUnit)).toEqual({ pipe: "conversion", clocks: 1 / 16 });
  const found = { counts: perUnit, unit: "value", perUnit, lanesPerUnit: 4 } as const;
  // 2e12 weights of half a byte each second, of the 3.2e12 that the pipe lets through.
  expect(boundOn(card, found, 0.5)).toEqual({ card: "H200", pipe: "conversion", share: 2 / 3.2 });
  expect(boundOn(card, { ...found, unit: "product" }, 0.5)).toMatchObject({ teraflops: 6.4 });
});

it("complains of a spill, of more than the budget and of a budget too few or too many", () => {
  const figures = {
    registers: 40,
    workgroupBytes: 0,
    subgroups: 16,
    spills: 0,
    scratchBytes: 0,
    codeBytes: 1000,
  };
  const report: Report = {
    name: "a",
    ...figures,
    loop: { ...NOTHING, float: 1, convert: 0 },
    unit: "value",
    lanes: 4,
    bounds: [],
  };
  const budget = {
    ...{ registers: 40, workgroupBytes: 4096, subgroups: 16 },
    ...{ scratchBytes: 0, codeBytes: 1000, lanes: 4 },
  };
  expect(overBudget([{ ...report, lanes: 4.19, codeBytes: 1049 }], { a: budget })).toEqual([]);
  // Subgroups that fit are what memory hides behind, whatever it is that leaves no room for more.
  expect(overBudget([{ ...report, subgroups: 15, workgroupBytes: 8192 }], { a: budget })).toEqual([
    "a has room for 15 subgroups; its budget is 16.",
    "a takes 8192 bytes of workgroup memory; its budget is 4096.",
  ]);
  expect(overBudget([{ ...report, lanes: 4.21, scratchBytes: 4 }], { a: budget })).toEqual([
    "a takes 4 bytes of private memory; its budget is 0.",
    "a takes 4.21 lane instructions in its hottest loop; its budget is 4.",
  ]);
  expect(overBudget([{ ...report, spills: 1 }], { a: budget })).toEqual([
    expect.stringContaining("spills 1 value"),
  ]);
  expect(overBudget([report], { b: budget })).toEqual([
    expect.stringContaining("a has no budget"),
    expect.stringContaining("b has a budget and is no kernel"),
  ]);
});

/** All, or those of ZIYA_ISA_FORMATS, such as "q4,f16": compiling for a card takes a second a kernel. */
const FORMATS = WEIGHT_FORMATS.filter(
  (format) => format !== "f32" && (process.env.ZIYA_ISA_FORMATS ?? format).split(",").includes(format),
);
/** Of some formats alone, a budget may be of a kernel that others have. */
const isWhole = process.env.ZIYA_ISA_FORMATS === undefined;

/** With `npm run bench:isa -- --setup`, or where the system's Mesa has its drm shims; skipped elsewhere. */
describe.each(Object.keys(readBudgets()) as AdapterName[])("on %s", (adapter) => {
  const { vendor, budgeted } = ADAPTERS[adapter];
  const laboratory = findLaboratory(vendor);
  const name = laboratory
    ? "no kernel spills or exceeds its budget"
    : "no budget is checked: there is no compiler here";
  const request = {
    shape: "ziya-13b",
    formats: FORMATS,
    tokens: 128,
    only: "",
    toggles: [],
  } as const;
  let reports: Report[];
  beforeAll(async () => {
    if (laboratory) reports = await reportsOn(adapter, laboratory, { ...request, selection: budgeted });
  });

  it.skipIf(!laboratory)(name, () => {
    const names = new Set(reports.map((report) => report.name));
    const budgets = Object.entries(readBudgets()[adapter]!).filter(([name]) => isWhole || names.has(name));
    expect(overBudget(reports, Object.fromEntries(budgets))).toEqual([]);
  });

  // Not NAK's again, which takes seconds a kernel: that each has one pipeline's output is checked of both.
  it.skipIf(!laboratory || vendor !== "amd")(
    "each is told apart: alone it has the figures that it has among others",
    async () => {
      const last = reports.at(-1)!;
      const alone = await reportsOn(adapter, laboratory!, {
        ...request,
        selection: budgeted,
        only: last.name,
      });
      expect(alone).toEqual([last]);
      expect(reports.filter(({ unit }) => unit === "value").map((report) => report.name)).toEqual(
        expect.arrayContaining(request.formats.map((format) => `linear ${format} qkv x 1, matvec subgroup`)),
      );
    },
  );
});
