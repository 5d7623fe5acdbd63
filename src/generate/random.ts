/**
 * A counter-based generator: the n-th draw of a seed is a pure function of both, so it has no state to save, and the
 * same numbers can be computed in a shader. The hash is pcg3d of Jarzynski and Olano, "Hash Functions for GPU
 * Rendering" (2020), over the seed's two words and the counter.
 * @param seed An integer from 0 to 2^53 - 1.
 * @param counter How many numbers were drawn before, below 2^32.
 * @returns A multiple of 2^-53 in [0, 1).
 */
export function uniform(seed: number, counter: number): number {
  let x = advance(seed >>> 0);
  let y = advance(Math.floor(seed / 4294967296));
  let z = advance(counter >>> 0);
  x = (x + Math.imul(y, z)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  z = (z + Math.imul(x, y)) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  x = (x + Math.imul(y, z)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  return ((x >>> 5) * 67108864 + (y >>> 6)) / 9007199254740992;
}

/** One step of the linear congruential generator that pcg3d starts from. */
function advance(word: number): number {
  return (Math.imul(word, 1664525) + 1013904223) | 0;
}
