import { crc32 } from "../checkpoint/crc32.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Part } from "../gpu/part.ts";
import { Readback, type Slice } from "../gpu/readback.ts";
import { cacheSlices, packedBytes } from "../kernels/cache.ts";
import { storedBytes } from "../stored.ts";
import type { Config } from "./config.ts";
import type { Sequence } from "./sequence.ts";
import type { State } from "./state.ts";
import { stacks, type Weights } from "./weights.ts";

/**
 * What a sequence holds, as bytes that outlive the model: layer by layer, BLOCK positions at a time, keys and then values,
 * each [kvHeads, positions, headDim] as cached. Which pages they are in does not show.
 */
export interface Snapshots {
  /** What has to be the same where they are read: of which weights they are, and how they are stored. */
  identify(): Promise<Identity>;
  /** Bytes of so many positions. */
  bytesOf(positions: number): number;
  /** The bytes of all that a sequence holds, which nobody may change meanwhile. */
  read(sequence: Sequence): AsyncGenerator<Uint8Array<ArrayBuffer>, void>;
  /**
   * Writes `positions` from the beginning on, for which the sequence has room and which it does not hold yet.
   * @param next Gives the next bytes, as many as asked for.
   */
  write(
    sequence: Sequence,
    positions: number,
    next: (bytes: number) => Promise<Uint8Array<ArrayBuffer>>,
  ): Promise<void>;
}

export type Identity = Readonly<Record<string, string | number | boolean>>;

/** What a snapshot is of. */
interface Subject {
  readonly config: Config;
  readonly weights: Weights;
  readonly state: State;
}

/** Positions that are read or written at a time: of a 13B model's layer 10 MiB in f16. */
const BLOCK = 512;
/** Rows of a matrix that are looked at, evenly spaced, and bytes of each: other weights differ in all of them. */
const ROWS = 8;
const ROW_BYTES = 256;

export function snapshotsOf(gpu: Gpu, subject: Subject): Snapshots {
  const { attention, layers } = subject.state;
  let weights: Promise<number> | undefined;
  /** Where `count` positions of a layer from `first` on stand, and where in a block of them. */
  const slicesOf = (sequence: Sequence, layer: number, first: number, count: number): Slice[] => {
    const { keys, values } = layers[layer]!;
    const half = packedBytes(attention, count);
    const slices: Slice[] = [];
    for (let at = first; at < first + count; ) {
      const place = sequence.placeOf(at);
      // Pages that follow one another in the cache too are one slice: most do.
      let end = at + 1;
      while (end < first + count && sequence.placeOf(end) === place + end - at) end++;
      const range = { first: at - first, count: end - at, positions: count };
      for (const { cached, packed, bytes } of cacheSlices(attention, place, range)) {
        slices.push({ buffer: keys, from: cached, to: packed, bytes });
        slices.push({ buffer: values, from: cached, to: half + packed, bytes });
      }
      at = end;
    }
    return slices;
  };
  function* blocks(positions: number): Generator<[layer: number, first: number, count: number]> {
    for (const layer of layers.keys()) {
      for (let first = 0; first < positions; first += BLOCK) {
        yield [layer, first, Math.min(BLOCK, positions - first)];
      }
    }
  }
  return {
    async identify() {
      weights ??= sumOf(gpu, subject.weights);
      const formats = [...stacks(subject.weights)].flatMap((stack) =>
        "matrix" in stack ? [stack.matrix.format] : [],
      );
      return {
        ...subject.config,
        weights: [...new Set(formats)].join(" and "),
        cache: attention.cache,
        "checksum of the weights": await weights,
      };
    },
    bytesOf: (positions) => 2 * layers.length * packedBytes(attention, positions),
    async *read(sequence) {
      const readback = new Readback(gpu);
      try {
        for (const [layer, first, count] of blocks(sequence.length)) {
          const words = new Uint32Array((2 * packedBytes(attention, count)) / 4);
          await readback.gather(slicesOf(sequence, layer, first, count), words);
          yield new Uint8Array(words.buffer);
        }
      } finally {
        readback.destroy();
      }
    },
    async write(sequence, positions, next) {
      const size = 2 * packedBytes(attention, Math.min(BLOCK, positions));
      const block = await gpu.guarded(
        "Restoring",
        async () => gpu.buffer("positions to be restored", size),
        (useless) => useless.destroy(),
      );
      try {
        const { device } = gpu;
        for (const [layer, first, count] of blocks(positions)) {
          device.queue.writeBuffer(block, 0, await next(2 * packedBytes(attention, count)));
          const encoder = device.createCommandEncoder({ label: "restore" });
          for (const { buffer, from, to, bytes } of slicesOf(sequence, layer, first, count)) {
            encoder.copyBufferToBuffer(block, to, buffer, from, bytes);
          }
          device.queue.submit([encoder.finish()]);
          // No more than a block waits in the queue.
          await gpu.finished();
        }
      } finally {
        block.destroy();
      }
    },
  };
}

/** A checksum of samples of all weights as they are stored: nothing of them has to be read again for it. */
async function sumOf(gpu: Gpu, weights: Weights): Promise<number> {
  const slices: Slice[] = [];
  let total = 0;
  const sample = ({ buffer, offset }: Part, at: number, most: number) => {
    const bytes = Math.min(ROW_BYTES, most);
    slices.push({ buffer, from: offset + at, to: total, bytes });
    total += bytes;
  };
  for (const stack of stacks(weights)) {
    if ("vector" in stack) {
      sample(stack.vector, 0, stack.vector.size);
      continue;
    }
    const { format, rows, columns, slabs } = stack.matrix;
    for (let i = 0; i < ROWS; i++) {
      const row = Math.floor(((2 * i + 1) * rows) / (2 * ROWS));
      const slab = slabs.findLast(({ firstRow }) => firstRow <= row)!;
      const offset = storedBytes(format, row - slab.firstRow, columns).words;
      sample(slab.weight, offset, storedBytes(format, 1, columns).words);
    }
  }
  const words = new Uint32Array(total / 4);
  const readback = new Readback(gpu);
  try {
    await readback.gather(slices, words);
  } finally {
    readback.destroy();
  }
  return crc32(new Uint8Array(words.buffer));
}
