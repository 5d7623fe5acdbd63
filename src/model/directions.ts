import { PROJECTIONS, signsOf } from "../kernels/sketch.ts";
import { eigenOf } from "./eigen.ts";

/** Directions that an importance has beside the mean: see bench/README.md for what more of them would give and cost. */
export const PRINCIPAL = 7;

/** The least eigenvalue of the sketch that says something, as a share of the largest: sums in f32 leave about 1e-6 of it. */
const LEAST_SHARE = 1e-5;

/**
 * The directions in which a matrix's input x varies most: of its covariance C = E[(x - m)(x - m)ᵀ] about the PRINCIPAL
 * largest eigenvectors, each times the root of its eigenvalue. C is known by Y = C Ω alone, for random signs Ω [columns,
 * PROJECTIONS], and is about Y (Ωᵀ Y)⁻¹ Yᵀ: Nyström's approximation (Halko, Martinsson and Tropp 2011, 5.4).
 * @param mean m [columns].
 * @param sketch E[x (xᵀ Ω)], as float32 [PROJECTIONS, columns].
 * @param target [PRINCIPAL, columns], zeros: they stay where no direction shows.
 */
export function principalDirections(mean: Float32Array, sketch: Float32Array, target: Float32Array): void {
  const columns = mean.length;
  const signs = Uint32Array.from({ length: columns }, (_, k) => signsOf(k));
  const y = Array.from({ length: PROJECTIONS }, (_, i) =>
    centred(sketch.subarray(i * columns, (i + 1) * columns), mean, signedSum(mean, signs, i)),
  );
  // Ωᵀ Y, of which rounding leaves the halves a little apart.
  const inner = new Float64Array(PROJECTIONS ** 2);
  for (let i = 0; i < PROJECTIONS; i++) {
    for (let j = 0; j < PROJECTIONS; j++) {
      const half = signedSum(y[j]!, signs, i) / 2;
      inner[i * PROJECTIONS + j]! += half;
      inner[j * PROJECTIONS + i]! += half;
    }
  }
  const { values, vectors } = eigenOf(inner, PROJECTIONS);
  const shown = values.filter((value) => value > LEAST_SHARE * values[0]!);
  // F of columns Y · vector / √value has F Fᵀ about C: the eigenvectors of Fᵀ F turn it into its singular vectors.
  const f = shown.map((value, i) =>
    combined(
      y,
      vectors[i]!.map((x) => x / Math.sqrt(value)),
    ),
  );
  const gram = Float64Array.from(f.flatMap((a) => f.map((b) => product(a, b))));
  const turns = eigenOf(gram, f.length).vectors.slice(0, PRINCIPAL);
  for (const [i, turn] of turns.entries()) target.set(combined(f, turn), i * columns);
}

/** A row of E[x (xᵀ Ω)] - m (mᵀ Ω), which is one of C Ω. */
function centred(row: Float32Array, mean: Float32Array, projection: number): Float64Array {
  const result = new Float64Array(row.length);
  for (let k = 0; k < result.length; k++) result[k] = row[k]! - projection * mean[k]!;
  return result;
}

/** Σ ±values, by bit i of their signs. */
function signedSum(values: Float32Array | Float64Array, signs: Uint32Array, i: number): number {
  let sum = 0;
  for (let k = 0; k < values.length; k++) sum += (signs[k]! >>> i) & 1 ? values[k]! : -values[k]!;
  return sum;
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}

/** Σ shares[i] · rows[i] */
function combined(rows: readonly Float64Array[], shares: Float64Array): Float64Array {
  const sum = new Float64Array(rows[0]!.length);
  for (const [i, row] of rows.entries()) {
    const share = shares[i]!;
    for (let k = 0; k < sum.length; k++) sum[k]! += share * row[k]!;
  }
  return sum;
}
