/**
 * IEEE half precision, exactly: widening, and narrowing with round to nearest even. By hand because Node 20 has
 * no `Float16Array`.
 */

/** Half precision's smallest positive number: the step of its subnormals. */
export const SMALLEST_HALF = 2 ** -24;

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

const SMALLEST_NORMAL_BITS = 0x38800000; // 2^-14 as f32
const EXPONENT_SHIFT_BITS = 0x38000000; // (127 - 15) << 23: the distance between the two exponent biases
const FIRST_OVERFLOW_BITS = 0x47800000; // 2^16 as f32: from here on rounding cannot bring a number back

/** The half nearest to a float32, ties to even; beyond 65519 it is infinity, and a NaN stays a NaN. */
export function toHalf(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= FIRST_OVERFLOW_BITS) {
    if (magnitude <= 0x7f800000) return sign | 0x7c00;
    return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  }
  if (magnitude >= SMALLEST_NORMAL_BITS) {
    // A carry out of the mantissa raises the exponent, up to infinity: what rounding should do.
    return sign | ((magnitude - EXPONENT_SHIFT_BITS + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  // One unit of 0.5 in f32 is 2^-24, the step of half's subnormals: the addition itself rounds to nearest even.
  scratchFloat[0] = Math.abs(scratchFloat[0]!) + 0.5;
  return sign | (scratchBits[0]! - 0x3f000000);
}

/** Every half as a float32: a table of 256 KiB, three times as fast as arithmetic. */
const HALVES: Float32Array = (() => {
  const table = new Float32Array(65536).fill(Number.NaN);
  for (let exponent = 0; exponent < 31; exponent++) {
    // Subnormals have the step of the first normals. A power for each number would be most of the table's time.
    const step = 2 ** (Math.max(exponent, 1) - 25);
    const first = exponent === 0 ? 0 : 1024;
    for (let mantissa = 0; mantissa < 1024; mantissa++) {
      const half = 1024 * exponent + mantissa;
      table[half] = (first + mantissa) * step;
      table[0x8000 + half] = -(first + mantissa) * step;
    }
  }
  table[0x7c00] = Number.POSITIVE_INFINITY;
  table[0xfc00] = Number.NEGATIVE_INFINITY;
  return table;
})();

/** The value of a half given as its 16 bits. */
export function fromHalf(half: number): number {
  return HALVES[half & 0xffff]!;
}

/** Halves as float32, exactly; written from the start of `target`. */
export function widenHalves(
  halves: Uint16Array,
  target: Float32Array = new Float32Array(halves.length),
): Float32Array {
  for (let i = 0; i < halves.length; i++) target[i] = HALVES[halves[i]!]!;
  return target;
}

/** bfloat16 (the high half of a float32) as float32, exactly; written from the start of `target`. */
export function widenBfloats(
  bfloats: Uint16Array,
  target: Float32Array = new Float32Array(bfloats.length),
): Float32Array {
  const bits = new Uint32Array(target.buffer, target.byteOffset, bfloats.length);
  for (let i = 0; i < bfloats.length; i++) bits[i] = bfloats[i]! << 16;
  return target;
}

/** float32 as halves, each rounded to nearest even; written from the start of `target`. */
export function narrowToHalves(
  floats: Float32Array,
  target: Uint16Array = new Uint16Array(floats.length),
): Uint16Array {
  for (let i = 0; i < floats.length; i++) target[i] = toHalf(floats[i]!);
  return target;
}

/** 2^42: a double has 53 bits, a half 11. */
const HALF_DIGITS = 2 ** 42;
const LARGEST_HALF = 65504;

/** Sums of halves as float32, each rounded once to the nearest half, ties to even, as an addition in half precision is. */
export function addHalves(halves: Uint16Array, others: Uint16Array): Float32Array {
  const sums = new Float32Array(halves.length);
  for (let i = 0; i < sums.length; i++) {
    const sum = HALVES[halves[i]!]! + HALVES[others[i]!]!; // exact in float64
    // Less 2^42 times itself a number keeps eleven digits. Sums of subnormal halves have no more than that.
    const shifted = sum * HALF_DIGITS;
    const rounded = shifted - (shifted - sum);
    sums[i] = Math.abs(rounded) <= LARGEST_HALF ? rounded : HALVES[toHalf(sum)]!;
  }
  return sums;
}
