import { type Block, type Class, figure, type Instruction, type Program, workgroupBytes } from "./program.ts";

/** Bytes of one lane, by the end of a load's name. */
const LOADED: Readonly<Record<string, number>> = {
  b128: 16,
  b96: 12,
  b64: 8,
  b32: 4,
  b16: 2,
  u16: 2,
  i16: 2,
  u8: 1,
  i8: 1,
};
/** Bytes of a storage buffer's descriptor. They lie in the order of the bindings. */
const DESCRIPTOR_BYTES = 16;

/** Opcodes by class, the first that fits. */
const PATTERNS: readonly [RegExp, Class][] = [
  [/^v_s?wmmac?_/, "matrix"],
  [/^v_(dual_)?dot/, "dot"],
  [/^v_cvt_/, "convert"],
  [/^v_(exp|log|rcp|rsq|sqrt|sin|cos)_/, "special"],
  // Integer products of 32 bits go at the same quarter of the rate.
  [/^v_mul_(lo|hi)_[ui]32|^v_mad_[ui]64/, "special"],
  [/^v_.*_(f32|f16)/, "float"],
  [/^(v_permlane|v_readlane|v_writelane|v_readfirstlane|ds_)/, "workgroup"],
  [/^v_/, "integer"],
  [/^(buffer|global|flat|scratch)_/, "memory"],
  [
    /^s_(waitcnt|wait_|delay_alu|nop|clause|branch|cbranch|endpgm|barrier|sendmsg|set_inst|sleep|code_end)/,
    "control",
  ],
  [/^s_/, "scalar"],
  // LLVM knows no scalar load that reaches into vcc, which ACO makes of 16 registers from s92 on. It takes the load's second
  // half for an export, which no compute shader has, and with it some of the instruction behind, which is not counted.
  [/^(\(invalid|exp$)/, "scalar"],
];

/** Reads what RADV prints of one pipeline under RADV_DEBUG=shaders,shaderstats, for GFX11 and newer. */
export function parseAmd(text: string): Program {
  const code = /^disasm:\n([\s\S]*?)\n\n/m.exec(text)?.[1];
  if (code === undefined)
    throw new Error("RADV printed no disassembly; wanted a Mesa that is built with LLVM.");
  return {
    figures: {
      registers: figure(text, "VGPRs"),
      workgroupBytes: workgroupBytes(text),
      subgroups: figure(text, "Subgroups per SIMD"),
      spills: figure(text, "Spilled VGPRs"),
      scratchBytes: figure(text, "Scratch size"),
      codeBytes: figure(text, "Code size"),
    },
    blocks: parseBlocks(code),
  };
}

function parseBlocks(code: string): Block[] {
  const lines = code.split("\n").map((line) => line.replace(/\s*;.*$/, "").trim());
  const numbers = new Map<string, number>();
  for (const line of lines) if (/^BB\d+:$/.test(line)) numbers.set(line.slice(0, -1), numbers.size);
  const blocks: { instructions: Instruction[]; successors: number[] }[] = [];
  let descriptors: readonly Descriptor[] = [];
  for (const line of lines) {
    if (/^BB\d+:$/.test(line)) {
      const last = blocks.at(-1);
      if (last && !/^s_(branch|endpgm)/.test(last.instructions.at(-1)?.opcode ?? "")) {
        last.successors.push(blocks.length);
      }
      blocks.push({ instructions: [], successors: [] });
      continue;
    }
    const block = blocks.at(-1);
    if (!block || line === "") continue;
    const target = /^s_c?branch\w* (BB\d+)/.exec(line)?.[1];
    if (target !== undefined) block.successors.push(numbers.get(target)!);
    const repeated = /^\(then repeated (\d+) times\)$/.exec(line)?.[1];
    if (repeated !== undefined) {
      block.instructions.push(...Array(Number(repeated)).fill(block.instructions.at(-1)!));
      continue;
    }
    descriptors = [...loadedDescriptors(line), ...descriptors];
    block.instructions.push(parseInstruction(line, descriptors));
  }
  return blocks;
}

interface Descriptor {
  /** The first of the scalar registers that it is in. */
  readonly register: number;
  readonly binding: number;
}

/** What a scalar load brings, if it is of descriptors: "s_load_b256 s[16:23], s[8:9], null". */
function loadedDescriptors(line: string): Descriptor[] {
  const load = /^s_load_b\d+ s\[(\d+):(\d+)\], s\[\d+:\d+\], (null|0x[0-9a-f]+|\d+)/.exec(line);
  if (!load) return [];
  const [first, last] = [Number(load[1]), Number(load[2])];
  const offset = load[3] === "null" ? 0 : Number(load[3]);
  const count = (last - first + 1) / 4;
  if (offset % DESCRIPTOR_BYTES || !Number.isInteger(count)) return [];
  return Array.from({ length: count }, (_, i) => ({
    register: first + 4 * i,
    binding: offset / DESCRIPTOR_BYTES + i,
  }));
}

/** @param descriptors those loaded before, the last first */
function parseInstruction(line: string, descriptors: readonly Descriptor[]): Instruction {
  const opcode = line.split(" ")[0]!;
  const kind = PATTERNS.find(([pattern]) => pattern.test(opcode))?.[1];
  if (!kind) throw new Error(`The instruction "${line}" is of no known class; add it to bench/isa/amd.ts.`);
  // Two in one: "v_dual_fmac_f32 v1, v2, v3 :: v_dual_mul_f32 v4, v5, v6".
  const products = line.split(" :: ").reduce((sum, half) => sum + productsOf(half), 0);
  const bytes = LOADED[/^buffer_load_(?:d16_)?(?:hi_)?(\w+)/.exec(opcode)?.[1] ?? ""];
  if (bytes === undefined) return { opcode, class: kind, products };
  const register = Number(/ s\[(\d+):\d+\]/.exec(line)?.[1]);
  const binding = descriptors.find((found) => found.register === register)?.binding;
  return { opcode, class: kind, products, load: { bytes, binding } };
}

/** Lanes of the subgroup that has a matrix of 16 x 16 in the registers that a product goes to: "v_wmma_f32_… v[4:7], …". */
function lanesOfMatrix(instruction: string): number {
  const [, first, last] = /v\[(\d+):(\d+)\]/.exec(instruction) ?? [];
  return (16 * 16) / (Number(last) - Number(first) + 1);
}

function productsOf(instruction: string): number {
  const opcode = instruction.trim().split(" ")[0]!;
  if (/^v_s?wmmac?_\w+_16x16x16_/.test(opcode)) return (16 * (16 * 16)) / lanesOfMatrix(instruction);
  if (/dot8/.test(opcode)) return 8;
  if (/dot4/.test(opcode)) return 4;
  if (/dot2/.test(opcode)) return 2;
  if (/^v_pk_(fma|mul)/.test(opcode)) return 2;
  return /^v_(dual_)?(fma|fmac|mul|fmamk|fmaak|mad|mac)(_mix\w*|_legacy|_dx9_zero)?_f(32|16)/.test(opcode)
    ? 1
    : 0;
}
