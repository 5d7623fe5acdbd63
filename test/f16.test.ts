import { describe, expect, test } from "vitest";
import { addHalves, fromHalf, narrowToHalves, toHalf, widenBfloats, widenHalves } from "../src/f16.ts";
import { randomStream } from "./support/random.ts";

/** A half's value by the definition of the format. */
function halfByDefinition(half: number): number {
  const [sign, exponent, mantissa] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1 + mantissa / 1024) * 2 ** (exponent - 15) : (sign * mantissa * 2 ** -14) / 1024;
}

describe("f16", () => {
  test("widens all 65,536 halves", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, half) => half);
    expect([...widenHalves(halves)]).toEqual(
      Array.from({ length: 65536 }, (_, half) => halfByDefinition(half)),
    );
  });

  test("narrows every half to itself", () => {
    for (let half = 0; half < 65536; half++) {
      const value = fromHalf(half);
      if (Number.isNaN(value)) expect(Number.isNaN(fromHalf(toHalf(value)))).toBe(true);
      else if (toHalf(value) !== half) expect(toHalf(value), `half ${half}`).toBe(half);
    }
  });

  test("rounds to nearest, ties to even, between any two neighbours", () => {
    // Up to the step over the largest half, where 65536 stands in for the next one.
    for (let half = 0; half < 0x7c00; half++) {
      const low = fromHalf(half);
      const high = half === 0x7bff ? 65536 : fromHalf(half + 1);
      const middle = (low + high) / 2;
      const gap = Math.fround((high - low) / 1024);
      const wanted = [half, half % 2 ? half + 1 : half, half + 1];
      const found = [toHalf(middle - gap), toHalf(middle), toHalf(middle + gap)];
      if (found.join() !== wanted.join()) expect(found, `above half ${half}`).toEqual(wanted);
      const negative = [toHalf(-middle + gap), toHalf(-middle), toHalf(-middle - gap)];
      const wantedNegative = wanted.map((bits) => bits | 0x8000);
      if (negative.join() !== wantedNegative.join())
        expect(negative, `below -half ${half}`).toEqual(wantedNegative);
    }
  });

  test.each([
    [0, 0],
    [-0, 0x8000],
    [2 ** -25, 0],
    [2 ** -25 + 2 ** -48, 1],
    [-(2 ** -149), 0x8000],
    [65519.99609375, 0x7bff],
    [65520, 0x7c00],
    [3.4e38, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
  ])("narrows %d", (value, half) => {
    expect(toHalf(value)).toBe(half);
  });

  test("adds with one rounding", () => {
    const next = randomStream(3);
    const [a, b] = [0, 1].map(() => Uint16Array.from({ length: 200_000 }, () => next() * 65536)) as [
      Uint16Array,
      Uint16Array,
    ];
    // Of like size, where sums are halfway between halves; zeros of both signs; the halfway point to infinity.
    for (let i = 0; i < b.length; i += 2) b[i] = (a[i]! & 0x7c00) + next() * 0x400 + (i % 4) * 0x4000;
    a.set([0x8000, 0x8000, 0x0000, 0x7bff, 0x7bff, 0xfbff, 0x7c00, 0x7c00, 0x0001]);
    b.set([0x8000, 0x0000, 0x0000, 0x4c00, 0x4bff, 0xfbff, 0xfc00, 0x0001, 0x8001]);
    const wanted = Float32Array.from(a, (half, i) => fromHalf(toHalf(fromHalf(half) + fromHalf(b[i]!))));
    const found = addHalves(a, b);
    expect(found.findIndex((value, i) => !Object.is(value, wanted[i]))).toBe(-1);
  });

  test("narrows an array as it narrows one number", () => {
    const next = randomStream(1);
    const floats = Float32Array.from({ length: 1000 }, () => (next() - 0.5) * 2 ** (next() * 60 - 40));
    expect([...narrowToHalves(floats)]).toEqual([...floats].map(toHalf));
  });
});

test("bfloat16 is the high half of a float32", () => {
  expect([...widenBfloats(Uint16Array.of(0x3f80, 0xc049, 0x0001, 0x7f80, 0x8000))]).toEqual([
    1,
    -3.140625,
    2 ** -133,
    Number.POSITIVE_INFINITY,
    -0,
  ]);
});
