/**
 * Ids below `limit` by falling logit, of equal logits by rising id, NaN before every number: the first `count`.
 */
export function rankOracle(logits: ArrayLike<number>, limit: number, count: number): number[] {
  const rank = (a: number, b: number) => {
    const [x, y] = [logits[a]!, logits[b]!];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(y)) - Number(Number.isNaN(x)) || a - b;
    return x === y ? a - b : x < y ? 1 : -1;
  };
  return Array.from({ length: limit }, (_, id) => id)
    .sort(rank)
    .slice(0, count);
}
