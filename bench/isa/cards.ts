import type { Class } from "./program.ts";

/** Whose compiler, and how its output is read. */
export type Vendor = "amd" | "nvidia";

/**
 * All kernels; of each operation the first, of one row where it can, and products and attention of several; of those the
 * ones that stream, in their best way; or of these the ones in the arithmetic that comes first.
 */
export const SELECTIONS = ["all", "first", "streaming", "leading"] as const;
export type Selection = (typeof SELECTIONS)[number];

/** What the drm shims take for a card, by the name that the command takes, and the kernels that have budgets there. */
export const ADAPTERS = {
  navi31: { vendor: "amd", chip: "navi31", budgeted: "first" },
  gfx1201: { vendor: "amd", chip: "gfx1201", budgeted: "streaming" },
  // NAK prints every step of its work, some seconds a kernel.
  ga102: { vendor: "nvidia", chip: "0x172", budgeted: "leading" },
} as const satisfies Record<
  string,
  { readonly vendor: Vendor; readonly chip: string; readonly budgeted: Selection }
>;
export type AdapterName = keyof typeof ADAPTERS;

/** A pipe of a compute unit or multiprocessor: what passes through it, and how many lanes a clock. */
export interface Pipe {
  readonly name: string;
  readonly lanes: Partial<Readonly<Record<Class, number>>>;
}

export interface Card {
  readonly name: string;
  /** Whose machine code stands for it. */
  readonly adapter: AdapterName;
  /** Compute units, or multiprocessors. */
  readonly units: number;
  /** The boost clock that its maker states. */
  readonly gigahertz: number;
  /** The bandwidth of its memory that its maker states, GB/s. */
  readonly bandwidth: number;
  readonly pipes: readonly Pipe[];
}

/** Lanes a clock of everything that takes an issue slot of its scheduler. */
function all(lanes: number): Pipe["lanes"] {
  const { control: _, ...classes } = {
    ...{ float: lanes, integer: lanes, convert: lanes, special: lanes, dot: lanes, matrix: lanes },
    ...{ memory: lanes, workgroup: lanes, scalar: lanes, control: lanes },
  };
  return classes;
}

/**
 * A compute unit of RDNA 3 or 4: two SIMDs of 32 lanes, each of which starts one vector instruction a clock, a subgroup of
 * 64 in two. Scalar instructions and memory go through others. That two f32 operations may go at once, of subgroups of 64
 * or as a pair that the compiler made of subgroups of 32, counts for pairs alone: they are one instruction.
 * Rates of the slower ones: those that ACO's own estimate uses; of tiles, the f16 rate that AMD states, by subgroups of 64, which
 * RADV gives those kernels.
 */
const rdna = (matrix: number): Pipe[] => [
  { name: "vector", lanes: { float: 64, integer: 64, convert: 64, dot: 64, special: 16, matrix } },
  { name: "workgroup memory", lanes: { workgroup: 32 } },
];

/**
 * A multiprocessor from compute capability 8.6 to 9.0: four schedulers that each start an instruction of 32 lanes a clock,
 * whatever it is. Rates after the table of arithmetic throughput in NVIDIA's CUDA C++ programming guide, and conversions
 * through the unit of special functions; of tiles, the rate of f16 with sums in f32 that NVIDIA states.
 */
const multiprocessor = (matrix: number): Pipe[] => [
  { name: "issue", lanes: all(128) },
  { name: "integer", lanes: { integer: 64, dot: 64 } },
  { name: "conversion", lanes: { convert: 16, special: 16 } },
  { name: "load and store", lanes: { memory: 32, workgroup: 32 } },
  { name: "matrix", lanes: { matrix } },
];

export const CARDS: readonly Card[] = [
  { name: "RX 7900 XTX", adapter: "navi31", units: 96, gigahertz: 2.5, bandwidth: 960, pipes: rdna(4) },
  { name: "RX 9070 XT", adapter: "gfx1201", units: 64, gigahertz: 2.97, bandwidth: 640, pipes: rdna(8) },
  {
    name: "RTX 3090",
    adapter: "ga102",
    units: 82,
    gigahertz: 1.695,
    bandwidth: 936,
    pipes: multiprocessor(4),
  },
  {
    name: "RTX 4090",
    adapter: "ga102",
    units: 128,
    gigahertz: 2.52,
    bandwidth: 1008,
    pipes: multiprocessor(4),
  },
  { name: "H200", adapter: "ga102", units: 132, gigahertz: 1.98, bandwidth: 4800, pipes: multiprocessor(32) },
];

/**
 * Clocks of one unit for one lane's share of the instructions, in the pipe that fills first.
 * @param counts instructions by class, of one lane
 */
export function busiest(
  { pipes }: Pick<Card, "pipes">,
  counts: Readonly<Record<Class, number>>,
): { readonly pipe: string; readonly clocks: number } {
  const loads = pipes.map(({ name, lanes }) => {
    const clocks = Object.entries(lanes).reduce((sum, [kind, rate]) => sum + counts[kind as Class] / rate, 0);
    return { pipe: name, clocks };
  });
  return loads.reduce((most, load) => (load.clocks > most.clocks ? load : most));
}
