import { BusyError } from "../errors.ts";

/**
 * @param open Requests that were not closed.
 * @throws BusyError when there is no place for one more.
 */
export function expectPlace(open: number, parallel: number, queue: number): void {
  if (open >= parallel + queue) {
    throw new BusyError(
      `${parallel} answers are being given and ${queue} wait, the most that may; ask again when one has ended, or load with a longer queue.`,
    );
  }
}

interface Guest {
  /** Settles when it is the guest's turn. */
  readonly turn: Promise<void>;
  /** Ends its turn, or its wait for it. */
  leave(): void;
}

/** Those who have sequences of their own in the cache, as a beam search has: one after the other. */
export class Guests {
  /** Begins the turn of each; the first one's has begun. */
  private readonly begins: (() => void)[] = [];
  private readonly onEnter: () => void;
  private readonly onLeave: () => void;

  constructor(onEnter: () => void, onLeave: () => void) {
    this.onEnter = onEnter;
    this.onLeave = onLeave;
  }

  get count(): number {
    return this.begins.length;
  }

  /** @throws what `onEnter` throws: there is no place then. */
  enter(): Guest {
    this.onEnter();
    let begin!: () => void;
    const turn = new Promise<void>((resolve) => {
      begin = resolve;
    });
    this.begins.push(begin);
    this.begins[0]!();
    const leave = () => {
      this.begins.splice(this.begins.indexOf(begin), 1);
      this.begins[0]?.();
      this.onLeave();
    };
    return { turn, leave };
  }
}
