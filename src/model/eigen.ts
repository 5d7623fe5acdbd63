/** Rounds over all pairs of a matrix; about eight make one of 32 rows diagonal. */
const MOST_SWEEPS = 50;

/** Eigenvalues, the largest first, and by each its eigenvector of length 1. */
interface Eigen {
  readonly values: readonly number[];
  readonly vectors: readonly Float64Array[];
}

/**
 * Of a symmetric matrix [size, size], by Jacobi's method: rotations of two rows and columns that leave 0 where they meet
 * (Golub and Van Loan, Matrix Computations, 8.5). For small ones.
 */
export function eigenOf(matrix: Float64Array, size: number): Eigen {
  const a = matrix.slice();
  const vectors = Array.from({ length: size }, (_, i) => {
    const vector = new Float64Array(size);
    vector[i] = 1;
    return vector;
  });
  for (let sweep = 0, rotated = true; rotated && sweep < MOST_SWEEPS; sweep++) {
    rotated = false;
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) rotated = rotate(a, size, p, q, vectors) || rotated;
    }
  }
  const values = vectors.map((_, i) => a[i * size + i]!);
  const order = [...values.keys()].sort((i, j) => values[j]! - values[i]!);
  return { values: order.map((i) => values[i]!), vectors: order.map((i) => vectors[i]!) };
}

/** Makes what stands at row p and column q 0. @returns whether it was more than rounding leaves. */
function rotate(a: Float64Array, size: number, p: number, q: number, vectors: Float64Array[]): boolean {
  const [pp, qq, pq] = [a[p * size + p]!, a[q * size + q]!, a[p * size + q]!];
  if (Math.abs(pq) <= Number.EPSILON * Math.sqrt(Math.abs(pp * qq))) return false;
  const ratio = (qq - pp) / (2 * pq);
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(1, ratio));
  const cosine = 1 / Math.hypot(1, tangent);
  const sine = tangent * cosine;
  for (let i = 0; i < size; i++) {
    if (i === p || i === q) continue;
    const [ip, iq] = [a[i * size + p]!, a[i * size + q]!];
    a[i * size + p] = a[p * size + i] = cosine * ip - sine * iq;
    a[i * size + q] = a[q * size + i] = sine * ip + cosine * iq;
  }
  a[p * size + p] = pp - tangent * pq;
  a[q * size + q] = qq + tangent * pq;
  a[p * size + q] = a[q * size + p] = 0;
  const [first, second] = [vectors[p]!, vectors[q]!];
  for (let i = 0; i < size; i++) {
    const [x, y] = [first[i]!, second[i]!];
    first[i] = cosine * x - sine * y;
    second[i] = sine * x + cosine * y;
  }
  return true;
}
