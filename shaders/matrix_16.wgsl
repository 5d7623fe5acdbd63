// Part: matrices of 16 x 16 that a subgroup multiplies with one another, halves into an f32 sum. Exports the same names as
// matrix_8.wgsl.
enable f16;
enable chromium_experimental_subgroup_matrix;

const SIDE = 16u;
alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;
