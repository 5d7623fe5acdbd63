// Part: codes of four bits, eight to a u32, the first in the lowest bits. Exports the same names as codes_q8.wgsl.
const CODE_LANES = 2u; // lanes of four values whose codes share a u32
const LARGEST_CODE = 15.0;

fn packCodes(own: vec4u, next: vec4u) -> u32 {
  let words = vec2u(own.x | (own.y << 4u) | (own.z << 8u) | (own.w << 12u), next.x | (next.y << 4u) | (next.z << 8u) | (next.w << 12u));
  return words.x | (words.y << 16u);
}
