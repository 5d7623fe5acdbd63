import { CheckpointError } from "../../src/errors.ts";

/** How often a file with a wrong SHA-256 is fetched again; the last time as a whole, in case it is the ranges. */
const MOST_BAD = 2;
/** How often a file may change on the server while it is fetched. */
const MOST_CHANGES = 3;

/** How often a file was begun again, up to which there is hope. */
export class Tries {
  readonly #address: string;
  readonly #promised: boolean;
  #changes = 0;
  #bad = 0;

  /** @param promised Whether its size and SHA-256 are those of a conversion's index. */
  constructor(address: string, promised: boolean) {
    this.#address = address;
    this.#promised = promised;
  }

  /**
   * The server has another file by now, of `size` bytes as far as it tells.
   * @throws CheckpointError where that is not the one of the index, or comes too often.
   */
  noteChange(size: number | undefined, before: number): void {
    const stale = this.#promised && size !== undefined && size !== before;
    if (!stale && ++this.#changes <= MOST_CHANGES) return;
    const found = stale ? `has ${size} bytes, and the index says ${before}` : "changes while it is fetched";
    throw new CheckpointError(`${this.#address} ${found}: begin again once its folder is complete.`);
  }

  /**
   * All of it is there, with another SHA-256 than it should have.
   * @returns whether it is to come as a whole.
   * @throws CheckpointError where that comes too often.
   */
  noteBad(found: string, wanted: string): boolean {
    if (++this.#bad <= MOST_BAD) return this.#bad === MOST_BAD;
    const says = this.#promised ? "the index" : "the server";
    throw new CheckpointError(
      `${this.#address} has the SHA-256 ${found}; ${says} says ${wanted}: it was fetched ${this.#bad} times, so it is ` +
        `damaged there, or on the way. Put it there again, or fetch it from elsewhere.`,
    );
  }
}
