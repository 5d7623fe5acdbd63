import { type Feature, MATRIX_SIZES, type MatrixSize } from "../gpu/features.ts";

/** Matrices that subgroups multiply, in halves: what ways are made for. */
export interface Matrices extends MatrixSize {
  /** "matrix 16", or "matrix 16x8x16" where the sides differ. */
  readonly way: string;
  readonly needs: readonly Feature[];
}

/** By feature, the best first where nothing is measured: more columns at once, then what an instruction of NVIDIA's multiplies. */
export const MATRICES: readonly Matrices[] = (
  [
    "matrix16x16x32",
    "matrix16x8x16",
    "matrix16",
    "matrix8x16x16",
    "matrix16x8x8",
    "matrix8x8x16",
    "matrix8",
  ] as const
).map((feature) => {
  const { M, N, K } = MATRIX_SIZES.get(feature)!;
  const way = M === N && N === K ? `matrix ${M}` : `matrix ${M}x${N}x${K}`;
  return { M, N, K, way, needs: ["subgroups", "f16", feature] };
});
