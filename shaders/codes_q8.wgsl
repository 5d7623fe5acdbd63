// Part: codes of eight bits, four to a u32, the first in the lowest bits. Exports the same names as codes_q4.wgsl.
const CODE_LANES = 1u; // lanes of four values whose codes share a u32
const LARGEST_CODE = 255.0;

fn packCodes(own: vec4u, next: vec4u) -> u32 {
  return own.x | (own.y << 8u) | (own.z << 16u) | (own.w << 24u);
}
