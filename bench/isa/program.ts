/** What an instruction is done by, as far as a rate or a table tells it apart. */
export const CLASSES = [
  "float", //     vector arithmetic on f32 or f16
  "integer", //   vector arithmetic on integers, comparisons, moves
  "convert", //   between integers, f16 and f32
  "special", //   exp2, log2, reciprocal, square root
  "dot", //       four products of bytes, or two of halves, and their sum
  "matrix", //    a tile of products, by a whole subgroup
  "memory", //    buffers
  "workgroup", // workgroup memory, and exchange between lanes
  "scalar", //    once a subgroup
  "control", //   branches, barriers, waits: takes no lane
] as const;
export type Class = (typeof CLASSES)[number];

export interface Instruction {
  readonly opcode: string;
  readonly class: Class;
  /** Multiplications of one lane, whatever is added to them. */
  readonly products: number;
  /** Of a load from a storage buffer: bytes of one lane, and which of the shader's bindings, where that is found. */
  readonly load?: { readonly bytes: number; readonly binding: number | undefined };
}

export interface Block {
  readonly instructions: readonly Instruction[];
  /** Indices of the blocks that it may jump or fall to. */
  readonly successors: readonly number[];
}

/** What a compiler says of a pipeline. */
export interface Figures {
  readonly registers: number;
  /** Bytes that the shader asks for. */
  readonly workgroupBytes: number;
  /** Subgroups that a SIMD (AMD) or a multiprocessor (NVIDIA) holds at once. */
  readonly subgroups: number;
  /** Values that found no register and went to memory. Those that another kind of register took in do not count. */
  readonly spills: number;
  /** Bytes of private memory: spills, and arrays that are indexed by a variable. */
  readonly scratchBytes: number;
  readonly codeBytes: number;
}

/** A compiled pipeline: blocks in the order in which they lie in memory. */
export interface Program {
  readonly figures: Figures;
  readonly blocks: readonly Block[];
}

/** Blocks that are repeated. */
export interface Loop {
  /** Loops that it is inside. */
  readonly depth: number;
  /** Those of its blocks, of branches that are not taken too, but not those of loops inside it. */
  readonly instructions: readonly Instruction[];
}

/** The loops of a program, and before them all the program itself, with what is in no loop. */
export function loopsOf({ blocks }: Program): Loop[] {
  const everything = new Set(blocks.keys());
  const bodies = [everything, ...cycles(blocks, everything, new Set())];
  return bodies.map((body, i) => {
    const inside = bodies.filter((other, j) => j !== i && isWithin(other, body));
    const own = blocks.filter((_, at) => body.has(at) && !inside.some((loop) => loop.has(at)));
    return {
      depth: bodies.filter((other, j) => j !== i && isWithin(body, other)).length,
      instructions: own.flatMap(({ instructions }) => instructions),
    };
  });
}

function isWithin(inner: ReadonlySet<number>, outer: ReadonlySet<number>): boolean {
  return inner.size < outer.size && [...inner].every((block) => outer.has(block));
}

/**
 * The blocks of each loop: blocks that all reach each other, and of those again the ones that do so without a jump to where
 * the loop is entered. Branches that skip a block where no lane wants it may give a loop two entries, so that it has no
 * header to go by.
 * @param entries blocks that are not jumped to any more
 */
function cycles(
  blocks: readonly Block[],
  within: ReadonlySet<number>,
  entries: ReadonlySet<number>,
): Set<number>[] {
  const next = (block: number) =>
    blocks[block]!.successors.filter((to) => within.has(to) && !entries.has(to));
  const reach = new Map([...within].map((block) => [block, reachable(block, next)]));
  const found: Set<number>[] = [];
  for (const block of within) {
    if (!reach.get(block)!.has(block) || found.some((loop) => loop.has(block))) continue;
    const loop = new Set([...reach.get(block)!].filter((other) => reach.get(other)!.has(block)));
    found.push(loop);
  }
  return found.flatMap((loop) => {
    const isEntered = (to: number) =>
      blocks.some(({ successors }, from) => !loop.has(from) && successors.includes(to));
    const entered = [...loop].filter(isEntered);
    if (entered.length === 0) return [loop]; // Only the program's own beginning enters it.
    return [loop, ...cycles(blocks, loop, new Set([...entries, ...entered]))];
  });
}

/** The blocks that one leads to, itself if there is a way back. */
function reachable(start: number, next: (block: number) => readonly number[]): Set<number> {
  const found = new Set<number>();
  const open = [...next(start)];
  for (let block = open.pop(); block !== undefined; block = open.pop()) {
    if (found.has(block)) continue;
    found.add(block);
    open.push(...next(block));
  }
  return found;
}

export function countClasses(instructions: readonly Instruction[]): Record<Class, number> {
  const counts = Object.fromEntries(CLASSES.map((name) => [name, 0])) as Record<Class, number>;
  for (const instruction of instructions) counts[instruction.class]++;
  return counts;
}

/** The number behind a label such as "Code size: 2128". */
export function figure(text: string, label: string): number {
  const found = new RegExp(`^${label}: (\\d+)`, "m").exec(text);
  if (!found) throw new Error(`The compiler printed no "${label}"; wanted a Mesa that does, 25 or newer.`);
  return Number(found[1]);
}

/** Bytes of workgroup memory in Mesa's description of the shader, which has no line of it where there are none. */
export function workgroupBytes(text: string): number {
  return Number(/^shared_size: (\d+)/m.exec(text)?.[1] ?? 0);
}
