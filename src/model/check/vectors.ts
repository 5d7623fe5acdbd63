import { type Arithmetic, readVector, vectorBytes } from "../../kernels/vector.ts";
import { sizeOf, Worst } from "./numbers.ts";
import type { Output } from "./trial.ts";

/** Beside the half step that a value may be rounded by, what f32 makes of that step itself. */
const ROUNDING = 1.001;

interface Wanted {
  readonly values: Float64Array; // [columns]
  /** Of each value what its group's sum of squares has of it. Default: zeros. */
  readonly squares?: Float64Array; // [columns]
  /** The groups of 32 that are stored. Default: all. */
  readonly groups?: readonly [first: number, end: number];
}

/** A vector that a kernel stores: its values, and beside each group its sum and that of the squares. */
export function vector(arithmetic: Arithmetic, { values, squares, groups }: Wanted): Output {
  const columns = values.length;
  const [first, end] = groups ?? [0, columns / 32];
  return {
    slices: [{ from: 0, bytes: vectorBytes(arithmetic, columns) }],
    isWhole: true,
    error: (words) => {
      const got = readVector(arithmetic, words, columns);
      const worst = new Worst();
      const size = sizeOf(values.subarray(32 * first, 32 * end));
      for (let group = first; group < end; group++) {
        let [sum, magnitude, square, slack] = [0, 0, 0, 0];
        for (let k = 32 * group; k < 32 * group + 32; k++) {
          worst.note(got.values[k]!, values[k]!, size, ROUNDING * got.rounding[k]!);
          sum += got.values[k]!;
          magnitude += Math.abs(got.values[k]!);
          square += squares?.[k] ?? 0;
          // A compiler may sum what it was before it was packed as halves; integers are what they are.
          if (arithmetic === "f16") slack += got.rounding[k]!;
        }
        worst.note(got.sums[group]!, sum, magnitude || Number.MIN_VALUE, slack);
        worst.note(got.squares[group]!, square, square || Number.MIN_VALUE);
      }
      return worst.error;
    },
  };
}
