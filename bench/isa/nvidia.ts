import { type Block, type Class, figure, type Instruction, type Program, workgroupBytes } from "./program.ts";

/** Opcodes by class, the first that fits: those of NAK's last listing, before they are encoded. */
const PATTERNS: readonly [RegExp, Class][] = [
  [/^(hmma|imma|bmma|dmma|ldsm|movm)/, "matrix"],
  [/^(idp4|idp)/, "dot"],
  [/^(i2f|f2i|f2f|i2i|frnd|f2fp)/, "convert"],
  // The unit of conversions does these too.
  [/^(mufu|transcendental|ex2|lg2|rcp|rsq|flo|popc|brev)/, "special"],
  [/^(ffma|fmul|fadd|fmnmx|fsetp|fset|fswz|fswzadd|hfma2|hmul2|hadd2|hmnmx2|hset2|hsetp2)/, "float"],
  [/^(lds|sts|atoms|shfl|vote|redux|match)/, "workgroup"],
  [/^(ldc|uldc)/, "scalar"],
  [/^(ld|st|ldg|stg|atom|atomg|red|ldl|stl)$/, "memory"],
  [/^(s2ur|r2ur|cs2r|s2r|u[a-z])/, "scalar"],
  [
    /^(bra|brx|bssy|bsync|bclear|break|exit|nop|bar|membar|warpsync|bmov|call|ret|kill|depbar|yield|ccctl|annotate|phi)/,
    "control",
  ],
  [
    /^(iadd|imad|imul|imnmx|isetp|iabs|lop|plop|shf|shl|shr|lea|prmt|sel|mov|bfe|bfi|bmsk|sgxt|p2r|r2p|vote|csel|ineg|idp|ishl|psetp|copy|swap|par_copy|undef)/,
    "integer",
  ],
];
const PRODUCTS: Readonly<Record<string, number>> = { ffma: 1, fmul: 1, hfma2: 2, hmul2: 2, idp4: 4 };
/** Bytes of a storage buffer's descriptor in the constant buffer of the bind group, in the order of the bindings. */
const DESCRIPTOR_BYTES = 16;
/** Steps from a load back to the descriptor that its address comes from. */
const MOST_STEPS = 64;

/** Reads what NAK prints of one pipeline under NAK_DEBUG=print. */
export function parseNvidia(text: string): Program {
  const at = text.lastIndexOf("NAK IR after ");
  const code = text.slice(at, text.indexOf("Stage: compute", at));
  if (at < 0 || code === "") throw new Error('NAK printed no listing; wanted "NAK IR after ...".');
  const count = figure(text, "Instruction count");
  return {
    figures: {
      registers: figure(text, "Num GPRs"),
      workgroupBytes: workgroupBytes(text),
      subgroups: figure(text, "Max warps/SM"),
      spills: figure(text, "Spills to mem"),
      scratchBytes: figure(text, "SLM size"),
      codeBytes: 16 * count,
    },
    blocks: parseBlocks(code),
  };
}

/** One line: "r13 p0 = iadd3.x rZ c[0x1][0x4] rZ // delay=1", with the condition "@!p0" before it or not. */
interface Line {
  /** Done once a subgroup: its result goes to a uniform register or predicate. */
  readonly isUniform: boolean;
  readonly destinations: readonly string[];
  readonly opcode: string;
  readonly operands: string;
}

function parseLine(line: string): Line {
  const plain = line
    .replace(/\s*\/\/.*$/, "")
    .replace(/^\s*@!?\w+\s/, "")
    .trim();
  const equals = plain.indexOf(" = ");
  const destinations = equals < 0 ? [] : registersIn(plain.slice(0, equals));
  const [opcode = "", ...operands] = plain
    .slice(equals < 0 ? 0 : equals + 3)
    .trim()
    .split(/\s+/);
  return {
    isUniform: equals >= 0 && /^u[rp]\d/.test(plain),
    destinations,
    opcode,
    operands: operands.join(" "),
  };
}

/** Names of the registers in a text: "r20..24" is four. */
function registersIn(text: string): string[] {
  return [...text.matchAll(/\b(u?r)(\d+)(?:\.\.(\d+))?/g)].flatMap(([, file, from, to]) =>
    Array.from(
      { length: to === undefined ? 1 : Number(to) - Number(from) },
      (_, i) => `${file}${Number(from) + i}`,
    ),
  );
}

function parseBlocks(code: string): Block[] {
  const blocks: { instructions: Instruction[]; successors: number[] }[] = [];
  const before: Line[] = [];
  for (const text of code.split("\n")) {
    if (/^block/.test(text)) blocks.push({ instructions: [], successors: [] });
    const block = blocks.at(-1);
    const end = /^} -> \[(.*)\]/.exec(text);
    if (end) block!.successors.push(...end[1]!.split(", ").filter(Boolean).map(Number));
    if (!block || !/^( |@)/.test(text)) continue;
    const line = parseLine(text);
    block.instructions.push(parseInstruction(line, before));
    before.push(line);
  }
  return blocks;
}

function parseInstruction(line: Line, before: readonly Line[]): Instruction {
  const [name = "", ...parts] = line.opcode.split(".");
  const found = PATTERNS.find(([pattern]) => pattern.test(name))?.[1];
  if (!found) {
    throw new Error(
      `The instruction "${line.opcode} ${line.operands}" is of no known class; add it to bench/isa/nvidia.ts.`,
    );
  }
  const isShared = found === "memory" && parts.includes("shared");
  const instruction = {
    opcode: line.opcode,
    class: isShared ? "workgroup" : line.isUniform && found !== "control" ? "scalar" : found,
    products: name === "hmma" || name === "imma" ? matrixProducts(line.opcode) : (PRODUCTS[name] ?? 0),
  } as const;
  if (name !== "ld" || !parts.includes("global")) return instruction;
  const bytes = Number(/\.[bui](8|16|32|64|128)\b/.exec(line.opcode)?.[1]) / 8;
  return { ...instruction, load: { bytes, binding: bindingOf(line, before) } };
}

/** Products of a lane in "hmma.m16n8k16…". */
function matrixProducts(opcode: string): number {
  const size = /m(\d+)n(\d+)k(\d+)/.exec(opcode);
  return size ? (Number(size[1]) * Number(size[2]) * Number(size[3])) / 32 : 0;
}

/** The binding whose address, in the constant buffer c[0x1], the address of a load was made of. */
function bindingOf(load: Line, before: readonly Line[]): number | undefined {
  const wanted = new Set(registersIn(/\[(.*?)\]/.exec(load.operands)?.[1] ?? "").slice(0, 1));
  let steps = 0;
  for (let i = before.length - 1; i >= 0 && wanted.size > 0 && steps < MOST_STEPS; i--) {
    const { destinations, opcode, operands } = before[i]!;
    if (!destinations.some((register) => wanted.has(register))) continue;
    const constant = /c\[0x1\]\[(0x[0-9a-f]+)\]/.exec(operands);
    if (constant) return Math.floor(Number(constant[1]) / DESCRIPTOR_BYTES);
    steps++;
    for (const register of destinations) wanted.delete(register);
    // An index that was loaded says nothing of where the buffer is.
    if (/^ld/.test(opcode)) continue;
    for (const register of registersIn(operands)) wanted.add(register);
  }
  return undefined;
}
