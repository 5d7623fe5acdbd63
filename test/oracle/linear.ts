/** Float64 references, written as the formulas. */

/** y[t, n] = Σₖ w[n, k] x[t, k]: w [rows, columns], x [tokens, columns] → [tokens, rows]. */
export function matmulOracle(
  w: Float32Array,
  x: ArrayLike<number>,
  rows: number,
  columns: number,
): Float64Array {
  const tokens = x.length / columns;
  const y = new Float64Array(tokens * rows);
  for (let t = 0; t < tokens; t++) {
    // Four rows at a time, since a sum waits for its last addition; the last row several times where there are fewer.
    for (let n = 0; n < rows; n += 4) {
      const [a, b, c] = [n, Math.min(n + 1, rows - 1), Math.min(n + 2, rows - 1)];
      const d = Math.min(n + 3, rows - 1);
      let [ofA, ofB, ofC, ofD] = [0, 0, 0, 0];
      for (let k = 0; k < columns; k++) {
        const value = x[t * columns + k]!;
        ofA += w[a * columns + k]! * value;
        ofB += w[b * columns + k]! * value;
        ofC += w[c * columns + k]! * value;
        ofD += w[d * columns + k]! * value;
      }
      y[t * rows + a] = ofA;
      y[t * rows + b] = ofB;
      y[t * rows + c] = ofC;
      y[t * rows + d] = ofD;
    }
  }
  return y;
}

/** y[i] = x[i] · weight[i] / √(mean(x²) + eps), for each row of x. */
export function rmsNormOracle(x: ArrayLike<number>, weight: ArrayLike<number>, eps: number): Float64Array {
  const dim = weight.length;
  const y = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += dim) {
    let squares = 0;
    for (let i = 0; i < dim; i++) squares += x[row + i]! ** 2;
    const scale = 1 / Math.sqrt(squares / dim + eps);
    for (let i = 0; i < dim; i++) y[row + i] = x[row + i]! * scale * weight[i]!;
  }
  return y;
}

/** y[i] = silu(gate[i]) · up[i] over rows of [gate, up]. */
export function swigluOracle(gateUp: ArrayLike<number>, hidden: number): Float64Array {
  const tokens = gateUp.length / (2 * hidden);
  const y = new Float64Array(tokens * hidden);
  for (let t = 0; t < tokens; t++) {
    for (let i = 0; i < hidden; i++) {
      const gate = gateUp[t * 2 * hidden + i]!;
      y[t * hidden + i] = (gate / (1 + Math.exp(-gate))) * gateUp[t * 2 * hidden + hidden + i]!;
    }
  }
  return y;
}

/** Σₜ x[t, k]² of every column k, and then Σₜ x[t, k] of each. */
export function columnMomentsOracle(x: ArrayLike<number>, columns: number): Float64Array {
  const sums = new Float64Array(2 * columns);
  for (let i = 0; i < x.length; i++) {
    sums[i % columns]! += x[i]! ** 2;
    sums[columns + (i % columns)]! += x[i]!;
  }
  return sums;
}

/** [T, count]: Σₖ ±x[t, k], plus where bit i of signsOf(k) is set. */
export function projectOracle(
  x: ArrayLike<number>,
  columns: number,
  signsOf: (k: number) => number,
  count: number,
): Float64Array {
  return Float64Array.from({ length: (x.length / columns) * count }, (_, at) => {
    const first = Math.floor(at / count) * columns;
    let sum = 0;
    for (let k = 0; k < columns; k++) sum += ((signsOf(k) >>> (at % count)) & 1 ? 1 : -1) * x[first + k]!;
    return sum;
  });
}

/** [count, columns]: Σₜ projections[t, i] x[t, k]. */
export function sketchOracle(
  x: ArrayLike<number>,
  projections: ArrayLike<number>,
  columns: number,
  count: number,
): Float64Array {
  const sums = new Float64Array(count * columns);
  for (let at = 0; at < x.length; at++) {
    const token = Math.floor(at / columns);
    for (let i = 0; i < count; i++)
      sums[i * columns + (at % columns)]! += projections[token * count + i]! * x[at]!;
  }
  return sums;
}
