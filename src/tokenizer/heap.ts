/** A binary min-heap of numbers in a typed array that the caller makes large enough. */
export class MinHeap {
  private readonly keys: Float64Array;
  private length = 0;

  constructor(capacity: number) {
    this.keys = new Float64Array(capacity);
  }

  get size(): number {
    return this.length;
  }

  push(key: number): void {
    const keys = this.keys;
    let index = this.length++;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[index] = keys[parent]!;
      index = parent;
    }
    keys[index] = key;
  }

  /** Takes the smallest key out; the heap must not be empty. */
  pop(): number {
    const keys = this.keys;
    const top = keys[0]!;
    const size = --this.length;
    const key = keys[size]!;
    let index = 0;
    for (let child = 1; child < size; child = 2 * index + 1) {
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= key) break;
      keys[index] = keys[child]!;
      index = child;
    }
    keys[index] = key;
    return top;
  }
}
