import type { Gpu } from "../gpu/device.ts";
import type { Sequence } from "./sequence.ts";

/** Words of the header of rows.wgsl, and of a row. */
const HEADER = 4;
const ROW = 4;

/** Bytes of the rows of a pass of `tokens`. */
export function rowsBytes(tokens: number): number {
  return 4 * (HEADER + ROW * tokens);
}

/** The rows of a pass on their way to the GPU: rows.wgsl has the layout. Nothing is made per pass. */
export class Rows {
  readonly buffer: GPUBuffer;
  /** Rows of the largest pass. */
  readonly capacity: number;
  private readonly words: Uint32Array<ArrayBuffer>;
  private count = 0;

  constructor(gpu: Gpu, capacity: number) {
    this.capacity = capacity;
    this.buffer = gpu.buffer("rows", rowsBytes(capacity));
    this.words = new Uint32Array(rowsBytes(capacity) / 4);
  }

  /** Begins the rows of another pass. */
  clear(): void {
    this.count = 0;
  }

  /** Adds `count` of `tokens` from `first` on, which follow what the sequence holds and for which it has room. */
  add(sequence: Sequence, tokens: readonly number[], first: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = HEADER + ROW * this.count++;
      this.words[at] = tokens[first + i]!;
      const position = sequence.length + i;
      this.words[at + 1] = position;
      this.words[at + 2] = sequence.line!;
      this.words[at + 3] = sequence.placeOf(position);
    }
  }

  /** Hands the rows to the queue; the logits that the pass is asked for are the last row's. */
  write(queue: GPUQueue): void {
    this.words[0] = this.count;
    this.words[1] = this.count - 1;
    queue.writeBuffer(this.buffer, 0, this.words, 0, HEADER + ROW * this.count);
  }
}
