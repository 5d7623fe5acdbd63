import type { TransferProgress } from "../api.ts";

/** Of how many milliseconds the rate is the mean: as long as a person looks, and longer than a piece takes. */
const RATE_WINDOW_MS = 5000;
/** No rate before that many: the first bytes come in a burst. */
const RATE_LEAST_MS = 500;
/** Between two reports. */
const REPORT_MS = 100;

export type Report = (progress: TransferProgress) => void;

/** Counts bytes as they come, and reports them with rate and time left, about ten times a second. */
export class Meter {
  readonly #phase: TransferProgress["phase"];
  readonly #report: Report;
  readonly #now: () => number;
  /** When it had how many new bytes, the oldest first. */
  readonly #samples: { at: number; bytes: number }[];
  /** Bytes that came since it began: what was there before says nothing of the rate. */
  #fresh = 0;
  #done = 0;
  #reported = Number.NEGATIVE_INFINITY;
  #file: string | undefined;
  total = 0;

  constructor(phase: TransferProgress["phase"], report: Report, now: () => number = () => performance.now()) {
    this.#phase = phase;
    this.#report = report;
    this.#now = now;
    this.#samples = [{ at: now(), bytes: 0 }];
  }

  /** Bytes that were there before, or, less than none, that are to come again. */
  correct(bytes: number): void {
    this.#done += bytes;
  }

  add(bytes: number, file?: string): void {
    this.#done += bytes;
    this.#fresh += bytes;
    this.#file = file;
    const at = this.#now();
    if (at - this.#reported >= REPORT_MS) this.report();
  }

  report(): void {
    const at = this.#now();
    this.#reported = at;
    this.#samples.push({ at, bytes: this.#fresh });
    while (this.#samples.length > 2 && this.#samples[1]!.at <= at - RATE_WINDOW_MS) this.#samples.shift();
    const [first] = this.#samples;
    const elapsed = at - first!.at;
    const rate = elapsed < RATE_LEAST_MS ? null : (1000 * (this.#fresh - first!.bytes)) / elapsed;
    const left = rate ? Math.max(0, this.total - this.#done) / rate : null;
    const file = this.#file;
    this.#report({
      phase: this.#phase,
      done: this.#done,
      total: this.total,
      rate,
      left,
      ...(file !== undefined && { file }),
    });
  }
}
