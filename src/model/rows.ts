import { OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { MOST_DRAWN, ROW, ROWS_HEADER, rowsBytes } from "../kernels/rows.ts";
import type { PassKind, PassPart } from "./language-model.ts";
import type { KvCache } from "./sequence.ts";

/**
 * Rows of a pass, and how many of them are drawn.
 * @param capacity Rows of the largest pass.
 * @param cache The model's.
 * @throws OptionError when they are none, or more than a pass of the kind takes, or more are drawn than there is room for, and
 * for a sequence of another model, whose pages others have here.
 */
export function countRows(
  parts: readonly PassPart[],
  kind: PassKind,
  capacity: number,
  cache: KvCache,
): [rows: number, drawn: number] {
  const most = kind === "decode" ? Math.min(MOST_DRAWN, capacity) : capacity;
  const rows = parts.reduce((sum, { count }) => sum + count, 0);
  const drawn = parts.reduce((sum, part) => sum + part.drawn, 0);
  if (rows < 1 || rows > most || drawn > MOST_DRAWN) {
    throw new OptionError(
      `A pass takes 1 to ${most} rows, of which ${MOST_DRAWN} at most are drawn; asked for ${rows} and ${drawn}.`,
    );
  }
  if (parts.some(({ sequence }) => sequence.cache !== cache)) {
    throw new OptionError("A pass takes sequences of its own model; open another one.");
  }
  return [rows, drawn];
}

/** Of what a pass left of its drawn rows what was asked for, of each part the last: the pass may have drawn more of them. */
export function drawnAmong<T>(
  left: readonly T[],
  run: readonly PassPart[],
  asked: readonly PassPart[],
): readonly T[] {
  let end = 0;
  return asked.flatMap(({ drawn }, i) => {
    end += run[i]!.drawn;
    return left.slice(end - drawn, end);
  });
}

/** Where the header of rows.wgsl has the list of rows that are drawn. */
const DRAWN = ROWS_HEADER - MOST_DRAWN;

/** The rows of a pass on their way to the GPU: rows.wgsl has the layout. Nothing is made per pass. */
export class Rows {
  readonly buffer: GPUBuffer;
  /** As rows of a pass of their own, those whose logits are asked for: how many there are. */
  readonly drawnBuffer: GPUBuffer;
  /** Rows of the largest pass. */
  readonly capacity: number;
  private readonly words: Uint32Array<ArrayBuffer>;
  /** Rows added. */
  count = 0;
  private drawnCount = 0;

  constructor(gpu: Gpu, capacity: number) {
    this.capacity = capacity;
    this.buffer = gpu.buffer("rows", rowsBytes(capacity));
    this.drawnBuffer = gpu.buffer("drawn rows", rowsBytes(MOST_DRAWN));
    this.words = new Uint32Array(rowsBytes(capacity) / 4);
  }

  /** Begins the rows of another pass. */
  clear(): void {
    this.count = 0;
    this.drawnCount = 0;
  }

  /** Adds tokens that follow what their sequence holds and for which it has room. */
  add({ sequence, tokens, first, count, drawn }: PassPart): void {
    for (let i = 0; i < count; i++) {
      if (i >= count - drawn) this.words[DRAWN + this.drawnCount++] = this.count;
      const at = ROWS_HEADER + ROW * this.count++;
      this.words[at] = tokens[first + i]!;
      const position = sequence.length + i;
      this.words[at + 1] = position;
      this.words[at + 2] = sequence.line!;
      this.words[at + 3] = sequence.placeOf(position);
    }
  }

  /** Has `count` other ones drawn of the rows that the queue has, from `first` on. */
  redraw(queue: GPUQueue, first: number, count: number): void {
    this.drawnCount = count;
    for (let d = 0; d < count; d++) this.words[DRAWN + d] = first + d;
    this.words[1] = count;
    queue.writeBuffer(this.buffer, 0, this.words, 0, ROWS_HEADER);
    queue.writeBuffer(this.drawnBuffer, 0, this.words, 1, 1);
  }

  /** Hands the rows to the queue. */
  write(queue: GPUQueue): void {
    this.words[0] = this.count;
    this.words[1] = this.drawnCount;
    queue.writeBuffer(this.buffer, 0, this.words, 0, ROWS_HEADER + ROW * this.count);
    // Its count of rows is their count of drawn ones.
    queue.writeBuffer(this.drawnBuffer, 0, this.words, 1, 1);
  }

  destroy(): void {
    this.buffer.destroy();
    this.drawnBuffer.destroy();
  }
}
