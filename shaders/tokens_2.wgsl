// Part: A workgroup of a product multiplies its rows of the matrix with the vectors of 2 tokens. Exports the same names as tokens_1.wgsl.
const TOKENS = 2u;

override TILES: u32 = 1u; // workgroups of the same rows, beside each other, for TOKENS tokens each

alias Dots = array<f32, TOKENS>; // of a row of the matrix and each token
