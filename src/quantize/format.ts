/** How a weight matrix can be stored on the GPU, widest first. */
export const WEIGHT_FORMATS = ["f32", "f16", "q8", "q4a", "q4"] as const;

/** How a weight matrix is stored on the GPU. */
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** Columns of a matrix are a multiple of this: the weights of a group of q8 and q4, two groups of q4a. */
export const GROUP_SIZE = 32;

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
