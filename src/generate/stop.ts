/** Text that may be given out, and whether a stop string was completed behind it. */
export interface Released {
  readonly text: string;
  readonly stopped: boolean;
}

/**
 * Holds back what may be the beginning of a stop string, so that no part of one is ever given out. The text given
 * out does not depend on how it was cut into pieces: the stop string that is completed first ends it, and of several
 * completed by the same character the longest.
 */
export class StopFilter {
  private readonly stops: readonly string[];
  private held = "";
  /** As long as `held`: "1" for each unit of a special string, which is looked at and never given out. */
  private hidden = "";

  constructor(stops: readonly string[]) {
    this.stops = stops;
  }

  /**
   * Takes a piece of text in whole characters, and the special string behind it that is no part of the text. After
   * `stopped` there is nothing more to push.
   */
  push(piece: string, special = ""): Released {
    this.held += piece + special;
    this.hidden += "0".repeat(piece.length) + "1".repeat(special.length);
    let start = Infinity;
    let end = Infinity;
    for (const stop of this.stops) {
      const found = this.held.indexOf(stop);
      if (found < 0) continue;
      const foundEnd = found + stop.length;
      if (foundEnd < end || (foundEnd === end && found < start)) [start, end] = [found, foundEnd];
    }
    if (end < Infinity) return { text: this.release(start), stopped: true };
    const partial = this.stops.reduce((most, stop) => Math.max(most, overlap(this.held, stop)), 0);
    return { text: this.release(this.held.length - partial), stopped: false };
  }

  /** The answer ended otherwise: what was held back was no stop string. */
  end(): string {
    return this.release(this.held.length);
  }

  private release(length: number): string {
    const text = this.held.slice(0, length);
    this.held = this.held.slice(length);
    const hidden = this.hidden.slice(0, length);
    this.hidden = this.hidden.slice(length);
    if (!hidden.includes("1")) return text;
    return text
      .split("")
      .filter((_, i) => hidden[i] === "0")
      .join("");
  }
}

/** The length of the longest end of `text` that `stop` begins with, the whole of `stop` excluded. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
