/** A seeded stream of uniform numbers in [0, 1): a test that fails fails again. */
export function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Roughly normal numbers of the given spread, every 97th an outlier twenty times as large. */
export function randomFloats(count: number, seed: number, spread = 1): Float32Array {
  const next = randomStream(seed);
  const floats = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const normal = (next() + next() + next() + next() - 2) * 1.7;
    floats[i] = normal * spread * (i % 97 === 96 ? 20 : 1);
  }
  return floats;
}
