interface Rules {
  readonly width: number;
  readonly penalty: number;
  /** Whether the search ends with its `width`-th answer. */
  readonly early: boolean;
  readonly longest: number;
  readonly ends: readonly number[];
}

interface Path {
  readonly ids: readonly number[];
  readonly logProbability: number;
}

/**
 * A beam search in float64, in which every continuation of every beam is written down and sorted, and nothing is cached: the
 * rules as transformers has them since 4.50. `logitsAfter` is told the ids of the answer so far. Shares no code with the runtime.
 * @returns the `width` best answers, the best first, the ids that end them included.
 */
export function beamOracle(
  logitsAfter: (ids: readonly number[]) => ArrayLike<number>,
  { width, penalty, early, longest, ends }: Rules,
): { readonly ids: readonly number[]; readonly score: number }[] {
  const scored = ({ ids, logProbability }: Path) => ({ ids, score: logProbability / ids.length ** penalty });
  let beams: Path[] = [{ ids: [], logProbability: 0 }];
  let answers: ReturnType<typeof scored>[] = [];
  for (;;) {
    const all = beams.flatMap((beam) =>
      logSoftmax(logitsAfter(beam.ids)).map((logProbability, id) => ({
        ids: [...beam.ids, id],
        logProbability: beam.logProbability + logProbability,
      })),
    );
    // Sorting keeps equals in the order in which they were written down.
    const likeliest = all
      .toSorted((a, b) => b.logProbability - a.logProbability)
      .slice(0, (ends.length > 1 ? ends.length + 1 : 2) * width);
    const isOver = ({ ids }: Path) => ids.length === longest || ends.includes(ids.at(-1)!);
    answers = [...answers, ...likeliest.slice(0, width).filter(isOver).map(scored)]
      .toSorted((a, b) => b.score - a.score)
      .slice(0, width);
    beams = likeliest.filter((path) => !isOver(path)).slice(0, width);
    if (beams.length === 0) return answers;
    if (answers.length === width && (early || scored(beams[0]!).score <= answers[width - 1]!.score)) {
      return answers;
    }
  }
}

function logSoftmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const total = values.map(Math.exp).reduce((a, b) => a + b);
  return values.map((value) => value - Math.log(total));
}
