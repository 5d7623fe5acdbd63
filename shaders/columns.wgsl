// Part: how long a row of the matrix is, for kernels that link with no weights_*.wgsl, which say so themselves.
override COLUMNS: u32; // a multiple of 32
