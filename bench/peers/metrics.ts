/** How far one implementation's next-token distributions are from a reference's. */
export interface Agreement {
  readonly positions: number;
  /** KL(reference ‖ other) in nats, over the positions. */
  readonly meanKl: number;
  readonly maxKl: number;
  /** Positions at which both rank the same token first. */
  readonly sameTop: number;
  /** The least distance of the reference's two best logits: positions near zero are decided by rounding. */
  readonly leastMargin: number;
}

type Logits = Float32Array | Float64Array;

/** Compares logits [positions, vocab] with a reference's, in float64. */
export function compareLogits(reference: Logits, other: Logits, vocab: number): Agreement {
  checkRows(reference, vocab);
  if (other.length !== reference.length) {
    throw new Error(`There are ${other.length} logits to compare with ${reference.length} of the reference.`);
  }
  const positions = reference.length / vocab;
  let [sum, maxKl, sameTop, leastMargin] = [0, 0, 0, Number.POSITIVE_INFINITY];
  for (let at = 0; at < reference.length; at += vocab) {
    const p = reference.subarray(at, at + vocab);
    const q = other.subarray(at, at + vocab);
    const kl = klDivergence(p, q);
    sum += kl;
    // NaN is kept: it is larger than any bound.
    maxKl = kl > maxKl || Number.isNaN(kl) ? kl : maxKl;
    const [best, second] = topTwo(p);
    if (topTwo(q)[0] === best) sameTop++;
    leastMargin = Math.min(leastMargin, p[best]! - p[second]!);
  }
  return { positions, meanKl: sum / positions, maxKl, sameTop, leastMargin };
}

/** KL(p ‖ q) in nats between the softmaxes of two rows of logits. */
export function klDivergence(p: Logits, q: Logits): number {
  const [logP, logQ] = [logSumExp(p), logSumExp(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const log = p[i]! - logP;
    sum += Math.exp(log) * (log - (q[i]! - logQ));
  }
  return sum;
}

/** The summed -log softmax(row)[target] in nats; row i of `logits` [targets.length, vocab] predicts targets[i]. */
export function negativeLogLikelihood(logits: Logits, targets: readonly number[], vocab: number): number {
  checkRows(logits, vocab);
  return targets.reduce((sum, target, i) => {
    const row = logits.subarray(i * vocab, (i + 1) * vocab);
    return sum + logSumExp(row) - row[target]!;
  }, 0);
}

function checkRows(logits: Logits, vocab: number): void {
  if (logits.length === 0 || logits.length % vocab !== 0) {
    throw new Error(`There are ${logits.length} logits; wanted rows of ${vocab}.`);
  }
}

function logSumExp(row: Logits): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const value of row) largest = Math.max(largest, value);
  let sum = 0;
  for (const value of row) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

function topTwo(row: Logits): [best: number, second: number] {
  let [best, second] = row[1]! > row[0]! ? [1, 0] : [0, 1];
  for (let i = 2; i < row.length; i++) {
    if (row[i]! > row[best]!) [best, second] = [i, best];
    else if (row[i]! > row[second]!) second = i;
  }
  return [best, second];
}
