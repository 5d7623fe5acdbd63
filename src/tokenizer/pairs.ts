/**
 * A map from a pair of small non-negative integers to one, in three typed arrays: no key is ever built, which makes a
 * look-up several times faster than in a `Map` with numeric keys above 2^31.
 */
export class PairTable {
  private readonly mask: number;
  private readonly left: Int32Array;
  private readonly right: Int32Array;
  private readonly value: Int32Array;
  // Drawn anew per table, so that no file can be written whose pairs all fall into one place.
  private readonly mixLeft = oddRandom();
  private readonly mixRight = oddRandom();

  /** `capacity`: the most pairs that will ever be set. */
  constructor(capacity: number) {
    let slots = 16;
    while (slots < 2 * capacity) slots *= 2;
    this.mask = slots - 1;
    this.left = new Int32Array(slots).fill(-1);
    this.right = new Int32Array(slots);
    this.value = new Int32Array(slots);
  }

  /** The value of a pair, or -1. */
  get(left: number, right: number): number {
    const slot = this.find(left, right);
    return this.left[slot] === -1 ? -1 : this.value[slot]!;
  }

  set(left: number, right: number, value: number): void {
    const slot = this.find(left, right);
    this.left[slot] = left;
    this.right[slot] = right;
    this.value[slot] = value;
  }

  /** The slot that holds the pair, or the empty one where it belongs. */
  private find(left: number, right: number): number {
    let hash = Math.imul(left, this.mixLeft) ^ Math.imul(right, this.mixRight);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let slot = (hash ^ (hash >>> 12)) & this.mask;
    while (this.left[slot] !== -1 && (this.left[slot] !== left || this.right[slot] !== right)) {
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }
}

function oddRandom(): number {
  return Math.floor(Math.random() * 0x80000000) * 2 + 1;
}
