import { expect } from "vitest";

/**
 * Every element within `absolute` + `relative` · (|wanted| + the root mean square of all wanted values): a sum of many
 * terms may cancel to nearly nothing, so an error is also measured against the whole. All zeros cannot be wanted.
 */
export function expectClose(
  got: ArrayLike<number>,
  wanted: ArrayLike<number>,
  { relative, absolute = 0 }: { relative: number; absolute?: number },
): void {
  let squares = 0;
  for (let i = 0; i < wanted.length; i++) squares += wanted[i]! ** 2;
  const scale = Math.sqrt(squares / wanted.length);
  expect(scale).toBeGreaterThan(0);
  let worst = Number.NEGATIVE_INFINITY;
  let at = 0;
  for (let i = 0; i < wanted.length; i++) {
    const excess = Math.abs(got[i]! - wanted[i]!) - absolute - relative * (scale + Math.abs(wanted[i]!));
    if (!(excess <= worst)) {
      worst = excess;
      at = i;
      if (Number.isNaN(excess)) break;
    }
  }
  const message = `element ${at} of ${wanted.length} is ${got[at]}, wanted ${wanted[at]} (root mean square ${scale}, relative ${relative})`;
  expect(worst, message).toBeLessThanOrEqual(0);
}
