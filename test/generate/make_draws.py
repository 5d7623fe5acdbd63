"""Prints the draws that sampler.test.ts holds `uniform` to: pcg3d (Jarzynski and Olano 2020) in Python's integers.

    python3 test/generate/make_draws.py
"""

MASK = 0xFFFFFFFF


def pcg3d(x, y, z):
    x, y, z = ((word * 1664525 + 1013904223) & MASK for word in (x, y, z))
    x = (x + y * z) & MASK
    y = (y + z * x) & MASK
    z = (z + x * y) & MASK
    x, y, z = (word ^ (word >> 16) for word in (x, y, z))
    x = (x + y * z) & MASK
    y = (y + z * x) & MASK
    z = (z + x * y) & MASK
    return x, y, z


# 53 bits of the first two words: a seed's low and high word and the counter go in.
for seed, counter in [(0, 0), (0, 1), (1, 0), (7, 3), (20261125, 2047), (2**32, 5), (2**53 - 1, 2**32 - 1)]:
    x, y, _ = pcg3d(seed & MASK, seed >> 32, counter)
    print([seed, counter, ((x >> 5) * 2**26 + (y >> 6)) / 2**53])
