/**
 * What rows as quads stand for, [T, columns], and the scale of each of their groups, [T, columns / 32]: quantise.wgsl has the
 * layout. The sums beside the scales have to be those of the values.
 */
export function decodeQuads(words: Uint32Array, tokens: number, columns: number) {
  const bytes = new Int8Array(words.buffer);
  const floats = new Float32Array(words.buffer);
  const values = new Float32Array(tokens * columns);
  const scales = new Float32Array((tokens * columns) / 32);
  const pairs = Math.ceil(columns / 64);
  for (let t = 0; t < tokens; t++) {
    for (let group = 0; group < columns / 32; group++) {
      const record = 80 * (Math.floor(t / 4) * pairs + (group >> 1));
      const at = record + 64 + 4 * (t % 4) + 2 * (group % 2);
      const scale = floats[at]!;
      const from = 4 * (record + 16 * (t % 4) + 8 * (group % 2));
      const quants = bytes.subarray(from, from + 32);
      const sum = quants.reduce((a, b) => a + b, 0);
      if (Math.fround(scale * sum) !== floats[at + 1] && !Number.isNaN(scale)) {
        throw new Error(
          `Row ${t}, group ${group}: the sum is ${floats[at + 1]}, of the values ${scale * sum}.`,
        );
      }
      scales[(t * columns) / 32 + group] = scale;
      for (const [i, q] of quants.entries()) values[t * columns + 32 * group + i] = scale * q;
    }
  }
  return { values, scales };
}
