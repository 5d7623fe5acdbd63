/** Dawn's name for what is no standard yet. */
const SUBGROUP_MATRIX = "chromium-experimental-subgroup-matrix";

/** Of matrices that a subgroup multiplies: M x K by K x N. */
export interface MatrixSize {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

interface Need {
  /** What a device has to be asked for. */
  readonly device?: "subgroups" | "shader-f16" | typeof SUBGROUP_MATRIX;
  /** Of WGSL's language features. */
  readonly wgsl?: string;
  /** The fewest and the most lanes that a subgroup may have. */
  readonly lanes?: readonly [fewest: number, most: number];
  /** The most lanes that a subgroup may have, to the lane. */
  readonly widest?: number;
  /** Matrices of halves whose product a subgroup makes in f32. */
  readonly matrix?: MatrixSize;
}

function matrices(M: number, N: number, K: number) {
  return { device: SUBGROUP_MATRIX, matrix: { M, N, K } } as const;
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
  /** Subgroups of up to 64 lanes: of those sizes, the compilers of AMD's cards take the largest. */
  wide: { device: "subgroups", widest: 64 },
  /**
   * Products of matrices of halves by a subgroup. Mesa's lavapipe has 8 x 8, AMD's and NVIDIA's cards 16 x 16, NVIDIA's 16 x 8
   * besides, Intel's those of 8 rows. In no preset: Dawn offers them only where asked.
   */
  matrix8: matrices(8, 8, 8),
  matrix16: matrices(16, 16, 16),
  matrix16x8x8: matrices(16, 8, 8),
  matrix16x8x16: matrices(16, 8, 16),
  matrix8x8x16: matrices(8, 8, 16),
  matrix8x16x16: matrices(8, 16, 16),
  matrix16x16x32: matrices(16, 16, 32),
} as const satisfies Record<string, Need>;
export type Feature = keyof typeof FEATURES;

/** The features that are sizes of matrices. */
export const MATRIX_SIZES: ReadonlyMap<Feature, MatrixSize> = new Map(
  Object.entries(FEATURES as Record<string, Need>).flatMap(([name, { matrix }]) =>
    matrix ? [[name as Feature, matrix] as const] : [],
  ),
);

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
      const { device, wgsl, lanes, widest, matrix }: Need = FEATURES[name];
      return (
        (device === undefined || adapter.features.has(device)) &&
        (wgsl === undefined || gpu.wgslLanguageFeatures.has(wgsl)) &&
        (lanes === undefined || (fewest >= lanes[0] && most <= lanes[1])) &&
        (widest === undefined || most === widest) &&
        (matrix === undefined || multiplies(adapter.info, matrix))
      );
    }),
  );
}

/** What Dawn tells of the matrices that subgroups multiply. */
interface MatrixInfo extends GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: Iterable<
    MatrixSize & { readonly componentType: string; readonly resultComponentType: string }
  >;
}

/** Whether subgroups multiply matrices of halves of that size into f32. */
function multiplies({ subgroupMatrixConfigs = [] }: MatrixInfo, { M, N, K }: MatrixSize): boolean {
  return [...subgroupMatrixConfigs].some(
    (config) =>
      config.componentType === "f16" &&
      config.resultComponentType === "f32" &&
      config.M === M &&
      config.N === N &&
      config.K === K,
  );
}

/** What a device has to be asked for, to have them. */
export function deviceFeatures(features: ReadonlySet<Feature>): NonNullable<Need["device"]>[] {
  return [...new Set([...features].flatMap((name) => (FEATURES[name] as Need).device ?? []))];
}
