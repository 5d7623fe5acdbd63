/**
 * How many rows of a pass each prompt gets: all the same, but for what the shorter ones do not need. None is left with one row,
 * which would run in another kind of pass.
 * @param left Rows that each prompt still needs, at least 2, in rising order.
 * @param room Rows of the pass, at least 1.
 * @returns of the first prompts, as many as there is room for.
 */
export function shareOut(left: readonly number[], room: number): number[] {
  const shares: number[] = [];
  for (const [i, wanted] of left.entries()) {
    const even = Math.max(Math.floor(room / (left.length - i)), Math.min(2, room));
    const share = Math.min(wanted, even);
    if (share === 0) break;
    shares.push(wanted - share === 1 && share > 1 ? share - 1 : share);
    room -= shares[i]!;
  }
  return shares;
}
