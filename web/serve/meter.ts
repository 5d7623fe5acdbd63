import type { TransferProgress } from "../api.ts";

/** Time over which a rate is taken, in milliseconds: short enough to show a change, long enough not to jump. */
const WINDOW = 3000;
/** Least time between two reports, in milliseconds. */
const EVERY = 100;

/** Makes reports of what was done, with its rate of late and the time that is left at that rate. */
export function meter(
  phase: TransferProgress["phase"],
  emit: (progress: TransferProgress) => void,
): (done: number, total: number, file?: string) => void {
  const marks: { at: number; done: number }[] = [];
  let told = Number.NEGATIVE_INFINITY;
  return (done, total, file) => {
    const at = performance.now();
    if (at - told < EVERY && done < total) return;
    told = at;
    marks.push({ at, done });
    while (marks.length > 2 && at - marks[1]!.at > WINDOW) marks.shift();
    const [first] = marks;
    const seconds = (at - first!.at) / 1000;
    const rate = seconds > 0 ? (done - first!.done) / seconds : null;
    const left = rate ? (total - done) / rate : null;
    emit({ phase, done, total, rate, left, ...(file !== undefined && { file }) });
  };
}
