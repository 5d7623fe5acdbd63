/**
 * Rows of a matrix [N, K] as the shaders read them; K is a multiple of GROUP_SIZE. Little-endian within each u32. Every
 * row begins on a u32 of words, and of scales where the format has them.
 *
 * | format | bits a weight | words of a row                     | scales of a row                                     |
 * | ------ | ------------- | ---------------------------------- | --------------------------------------------------- |
 * | f32    | 32            | K u32, the float's bits            | none                                                |
 * | f16    | 16            | K/2 u32, weight 2i in the low half | none                                                |
 * | q8     | 8.5           | K/4 u32, weight 4i+b in byte b, i8 | ceil(K/64) u32: f16 per group of 32, first one low  |
 * | q4     | 4.5           | K/8 u32, see below                 | ceil(K/256) blocks of 4 u32, see below              |
 *
 * q8: w = scale · q, q in [-127, 127]. An odd number of groups leaves the last high half zero.
 * q4: w = d · scale · q - dmin · minimum, q in [0, 15], scale and minimum in [0, 63]. Word j of a group of 32 holds its
 * weights 8j to 8j+7: byte b has weight 8j+b in the low nibble and weight 8j+4+b in the high one, so that
 * `w & 0x0f0f0f0f` and `(w >> 4) & 0x0f0f0f0f` are each four consecutive weights. Up to eight groups of a row share a
 * block of scales. Its u32 0 has d in the low half and dmin in the high one, f16 from 0 on. Byte p of its u32 1, 2 and 3
 * belongs to the groups 2p and 2p+1 of the block: the low six bits are the scale of group 2p, the minimum of group 2p
 * and the scale of group 2p+1; the high two are bits 0-1, 2-3 and 4-5 of the minimum of group 2p+1. Groups that a short
 * last block lacks have zeros there.
 */
export interface PackedRows {
  readonly words: Uint32Array;
  readonly scales?: Uint32Array;
}

/** One way to store weight matrices. */
interface StoredFormat {
  /** Of the words, a weight. */
  readonly bits: number;
  /** The words as an element type of safetensors. */
  readonly words: "F32" | "F16" | "I8" | "U8";
  /** Of a format with scales, their blocks: a row has whole ones. */
  readonly scales?: {
    /** Weights of a row that share a block. */
    readonly weights: number;
    /** What it takes, of which the first is two f16. */
    readonly u32s: number;
    /** As an element type of safetensors. */
    readonly dtype: "F16" | "U32";
    /** Whether the columns that count the most are kept the most exactly, where a calibration tells which. */
    readonly calibrated: boolean;
  };
}

/**
 * The table of stored formats, widest first. An entry has a codec of the same name in src/quantize/pack.ts and a shader
 * part weights_<name>.wgsl; everything else follows from it.
 */
export const STORED = {
  f32: { bits: 32, words: "F32" },
  f16: { bits: 16, words: "F16" },
  q8: { bits: 8, words: "I8", scales: { weights: 64, u32s: 1, dtype: "F16", calibrated: false } },
  q4: { bits: 4, words: "U8", scales: { weights: 256, u32s: 4, dtype: "U32", calibrated: true } },
} as const satisfies Record<string, StoredFormat>;

/** How a weight matrix is stored on the GPU. */
export type WeightFormat = keyof typeof STORED;

/** How a weight matrix can be stored on the GPU, widest first. */
export const WEIGHT_FORMATS: readonly WeightFormat[] = Object.keys(STORED) as WeightFormat[];

/** The formats whose scales are chosen by calibration, where there is one. */
export const CALIBRATED_FORMATS: readonly WeightFormat[] = WEIGHT_FORMATS.filter(
  (format) => scalesOf(format)?.calibrated,
);

/** Columns of a matrix are a multiple of this: whole groups of every format. */
export const GROUP_SIZE = 32;

/** The scales of a format, where it has them: such a format is packed, and others are plain numbers. */
export function scalesOf(format: WeightFormat): StoredFormat["scales"] {
  const { scales }: StoredFormat = STORED[format];
  return scales;
}

/** Bytes of `rows` rows, and so where the row after them begins. */
export function storedBytes(
  format: WeightFormat,
  rows: number,
  columns: number,
): { words: number; scales: number } {
  const scales = scalesOf(format);
  return {
    words: (rows * columns * STORED[format].bits) / 8,
    scales: scales ? rows * Math.ceil(columns / scales.weights) * scales.u32s * 4 : 0,
  };
}
