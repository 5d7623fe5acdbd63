/** Milliseconds over which a rate is taken, and between the points of its curve. */
const WINDOW_MS = 1000;
const STEP_MS = 200;
/** Points that are kept: half a minute. */
const MOST_POINTS = 150;

/** A rate that is drawn as it comes: tokens per second over the last second. */
export class Meter {
  /** Tokens per second, the latest last. */
  readonly points: number[] = [];
  private samples: { time: number; count: number }[] = [];
  private drawn = 0;

  /** Begins another answer, whose time does not count from the end of the last one. */
  start(now: number): void {
    this.samples = [{ time: now, count: 0 }];
    this.drawn = now;
  }

  /** @param count Tokens that came just now. */
  add(count: number, now: number): void {
    this.samples.push({ time: now, count });
    const oldest = this.samples.findIndex(({ time }) => now - time <= WINDOW_MS);
    // The sample before the window is where it begins.
    this.samples.splice(0, Math.max(0, oldest - 1));
    if (now - this.drawn < STEP_MS) return;
    this.drawn = now;
    const [first] = this.samples;
    const tokens = this.samples.slice(1).reduce((sum, sample) => sum + sample.count, 0);
    const elapsed = now - first!.time;
    if (elapsed <= 0) return;
    this.points.push((1000 * tokens) / elapsed);
    if (this.points.length > MOST_POINTS) this.points.shift();
  }
}
