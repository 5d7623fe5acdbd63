/** How a weight matrix is stored on the GPU. */
export const WEIGHT_FORMATS = ["f32", "f16", "q8", "q4"] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** Weights per quantisation group: one f16 scale each. */
export const GROUP_SIZE = 32;

/**
 * Rows of a matrix [N, K] as the shaders read them; K is a multiple of GROUP_SIZE. Little-endian within each u32.
 *
 * | format | words                                  | scales                                            |
 * | ------ | -------------------------------------- | ------------------------------------------------- |
 * | f32    | N·K u32, the float's bits              | none                                              |
 * | f16    | N·K/2 u32, weight 2i in the low half   | none                                              |
 * | q8     | N·K/4 u32, weight 4i+b in byte b (i8)  | f16 per group of 32, flat [N·K/32], two per u32   |
 * | q4     | N·K/8 u32, see below                   | as q8                                             |
 *
 * q8: w = scale · q, q in [-127, 127].
 * q4: w = scale · (q - 8), q in [0, 15]. Word j of a group holds its weights 8j to 8j+7: byte b has weight 8j+b in
 * the low nibble and weight 8j+4+b in the high one, so that `w & 0x0f0f0f0f` and `(w >> 4) & 0x0f0f0f0f` are
 * each four consecutive weights.
 * Scales are flat over the matrix: group g of row n is at n·K/32 + g, in the low half of its u32 when even. An odd
 * total is padded with a zero half.
 */
export interface PackedRows {
  readonly words: Uint32Array;
  readonly scales?: Uint32Array;
}
