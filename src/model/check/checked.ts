/** A way of a kernel that was held to known results. */
export interface Checked {
  readonly kernel: string;
  readonly way: string;
  /** How far its results were off, the worst of all shapes: a share, infinite where some were no numbers or stood where none should. */
  readonly error: number;
  /** What it may be off. */
  readonly allowed: number;
}

/** For people: a sentence for each way that was wrong, of a model that does without it. */
export function describeWrongWays(checked: readonly Checked[]): string[] {
  return checked
    .filter(isWrong)
    .map(
      (one) =>
        `The kernel "${one.kernel}" is computed wrong here as "${one.way}" (${describeError(one)}): another way takes its place.`,
    );
}

export function isWrong({ error, allowed }: Checked): boolean {
  return error > allowed;
}

/** For messages, behind "is": "off by 12 %, where 0.024 % is allowed". */
export function describeError({ error, allowed }: Checked): string {
  const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`;
  const found = Number.isFinite(error)
    ? `off by ${percent(error)}`
    : "no number, or leaves some where none belong";
  return `${found}, where ${percent(allowed)} is allowed`;
}
