/**
 * Rows of a matrix [N, K] as the shaders read them; K is a multiple of GROUP_SIZE. Little-endian within each u32.
 *
 * | format | bits a weight | words                                | scales                                            |
 * | ------ | ------------- | ------------------------------------ | ------------------------------------------------- |
 * | f32    | 32            | N·K u32, the float's bits            | none                                              |
 * | f16    | 16            | N·K/2 u32, weight 2i in the low half | none                                              |
 * | q8     | 8.5           | N·K/4 u32, weight 4i+b in byte b, i8 | f16 per group of 32, flat [N·K/32], two per u32   |
 * | q4a    | 5             | as q4                                | u16 per group of 16, flat [N·K/16], two per u32   |
 * | q4     | 4.5           | N·K/8 u32, see below                 | as q8                                             |
 *
 * q8: w = scale · q, q in [-127, 127].
 * q4: w = scale · (q - 8), q in [0, 15]. Word j of a group holds its weights 8j to 8j+7: byte b has weight 8j+b in
 * the low nibble and weight 8j+4+b in the high one, so that `w & 0x0f0f0f0f` and `(w >> 4) & 0x0f0f0f0f` are
 * each four consecutive weights.
 * q4a (a for asymmetric): w = scale · (q - zero), q in [0, 15]. The low nine bits of a group's u16 are its scale, a
 * positive float of five exponent and four mantissa bits: shifted left by six they are an f16. The high seven are
 * the zero point in eighths, 0 to 127: the group's minimum is -scale · zero.
 * Scales are flat over the matrix: group g of row n of a format with groups of G is at n·K/G + g, in the low half of
 * its u32 when even. An odd total is padded with a zero half.
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
  /** Where groups of weights share 16 bits of scale: how many weights, as which element type of safetensors. */
  readonly scales?: {
    readonly group: number;
    readonly dtype: "F16" | "U16";
    /** The bits that a scale which is not finite has set: the exponent. */
    readonly infinite: number;
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
  q8: { bits: 8, words: "I8", scales: { group: 32, dtype: "F16", infinite: 0x7c00, calibrated: false } },
  q4a: { bits: 4, words: "U8", scales: { group: 16, dtype: "U16", infinite: 0x1f0, calibrated: true } },
  q4: { bits: 4, words: "U8", scales: { group: 32, dtype: "F16", infinite: 0x7c00, calibrated: true } },
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

/** Bytes of `rows` rows, and so where the row after them begins, for multiples of 64 rows, whose scales fill whole u32. */
export function storedBytes(
  format: WeightFormat,
  rows: number,
  columns: number,
): { words: number; scales: number } {
  const scales = scalesOf(format);
  return {
    words: (rows * columns * STORED[format].bits) / 8,
    scales: scales ? Math.ceil((rows * columns) / scales.group / 2) * 4 : 0,
  };
}
