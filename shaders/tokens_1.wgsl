// Part: A workgroup of a product multiplies its rows of the matrix with the vector of one token. Every tokens_*.wgsl exports the same names.
const TOKENS = 1u;

override TILES: u32 = 1u; // workgroups of the same rows, beside each other, for TOKENS tokens each

alias Dots = array<f32, TOKENS>; // of a row of the matrix and each token
