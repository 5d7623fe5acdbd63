/** Dawn's name for what is no standard yet. */
const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";

interface Need {
  /** What a device has to be asked for. */
  readonly device?: "subgroups" | "shader-f16" | typeof SUBGROUP_MATRIX;
  /** Of WGSL's language features. */
  readonly wgsl?: string;
  /** The fewest and the most lanes that a subgroup may have. */
  readonly lanes?: readonly [fewest: number, most: number];
  /** M, N and K of matrices of halves whose product a subgroup makes in f32. */
  readonly side?: number;
}

/** What kernels may ask of an adapter beyond WebGPU's guarantees. */
const FEATURES = {
  /** Subgroup operations. Without subgroup_id a lane cannot tell which subgroup of its workgroup it is in. */
  subgroups: { device: "subgroups", wgsl: "subgroup_id" },
  /** Subgroups of 8 lanes and no others, the vector units of a processor. In no preset: those are run without it. */
  narrow: { device: "subgroups", lanes: [8, 8] },
  /** Dot products of four 8-bit integers in a u32. A language feature alone: where the hardware has none it is emulated. */
  dot: { wgsl: "packed_4x8_integer_dot_product" },
  /** Arithmetic of halves, two in a u32 at once where the hardware has that. A feature of devices alone. */
  f16: { device: "shader-f16" },
  /** Products of matrices of halves by a subgroup, 8 x 8 or 16 x 16. In no preset: Dawn offers them only where asked. */
  matrix8: { device: SUBGROUP_MATRIX, side: 8 },
  matrix16: { device: SUBGROUP_MATRIX, side: 16 },
} as const satisfies Record<string, Need>;
export type Feature = keyof typeof FEATURES;

/**
 * Sets of features by name. "core" runs on WebGPU without any optional feature; "subgroups" reduces with subgroup
 * operations of any size from 4 to 128; "dot" multiplies 8-bit activations as well, and "half" activations in f16.
 */
export const PRESETS = {
  core: [],
  subgroups: ["subgroups"],
  dot: ["subgroups", "dot"],
  half: ["subgroups", "dot", "f16"],
} as const satisfies Record<string, readonly Feature[]>;
export type Rung = keyof typeof PRESETS;
export const RUNGS: readonly Rung[] = Object.keys(PRESETS) as Rung[];

/** The largest preset of which `features` has everything. */
export function presetOf(features: ReadonlySet<Feature>): Rung {
  return RUNGS.findLast((rung) => missingFeatures(PRESETS[rung], features).length === 0)!;
}

/** Those of `wanted` that are not among `features`. */
export function missingFeatures(wanted: readonly Feature[], features: ReadonlySet<Feature>): Feature[] {
  return wanted.filter((feature) => !features.has(feature));
}

/** The features that an adapter and its WGSL compiler have. */
export function featuresOf(gpu: GPU, adapter: GPUAdapter): ReadonlySet<Feature> {
  const names = Object.keys(FEATURES) as Feature[];
  const { subgroupMinSize: fewest = 0, subgroupMaxSize: most = Number.POSITIVE_INFINITY } = adapter.info;
  return new Set(
    names.filter((name) => {
      const { device, wgsl, lanes, side }: Need = FEATURES[name];
      return (
        (device === undefined || adapter.features.has(device)) &&
        (wgsl === undefined || gpu.wgslLanguageFeatures.has(wgsl)) &&
        (lanes === undefined || (fewest >= lanes[0] && most <= lanes[1])) &&
        (side === undefined || multiplies(adapter.info, side))
      );
    }),
  );
}

/** What Dawn tells of the matrices that subgroups multiply: M x K by K x N. */
interface MatrixInfo extends GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

/** Whether subgroups multiply square matrices of halves of that side into f32. */
function multiplies({ subgroupMatrixConfigs = [] }: MatrixInfo, side: number): boolean {
  return [...subgroupMatrixConfigs].some(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === "f16" && resultComponentType === "f32" && M === side && N === side && K === side,
  );
}

/** What a device has to be asked for, to have them. */
export function deviceFeatures(features: ReadonlySet<Feature>): NonNullable<Need["device"]>[] {
  return [...new Set([...features].flatMap((name) => (FEATURES[name] as Need).device ?? []))];
}
