// Part: matrices that a subgroup multiplies with one another, M x K by K x N, halves into an f32 sum.
enable f16;
enable chromium_experimental_subgroup_matrix;

const M = 0u;
const N = 0u;
const K = 0u;
// Columns come first.
alias Left = subgroup_matrix_left<f16, K, M>;
alias Right = subgroup_matrix_right<f16, N, K>;
alias Sums = subgroup_matrix_result<f32, N, M>;
