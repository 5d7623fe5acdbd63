// Part: the sizes of attention.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of 16, at most 128; kernels of vectors, and caches that are mixed, want one of 32
override CONTEXT: u32;  // positions that a sequence may have
override CACHED: u32;   // positions that the cache has, of all sequences
