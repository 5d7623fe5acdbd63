// Part: matrices of 8 x 8 that a subgroup multiplies with one another, halves into an f32 sum. Exports the same names as
// matrix_16.wgsl.
enable f16;
enable chromium_experimental_subgroup_matrix;

const SIDE = 8u;
alias Left = subgroup_matrix_left<f16, 8, 8>;
alias Right = subgroup_matrix_right<f16, 8, 8>;
alias Sums = subgroup_matrix_result<f32, 8, 8>;
