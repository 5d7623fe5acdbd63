import type { Gpu } from "../../gpu/device.ts";
import { type Bound, type Dispatch, encode } from "../../gpu/kernel.ts";
import { type Part, wholeOf } from "../../gpu/part.ts";
import { Readback } from "../../gpu/readback.ts";
import type { State } from "../state.ts";
import type { Scene } from "./scene.ts";
import type { Output, Trial, Words } from "./trial.ts";

/** Bytes behind an output that have to stay as they are, where its buffer has them. */
const GUARD = 256;

/** A trial of a dispatch, and the rows of the pass that it is one of. */
export interface Run {
  readonly dispatch: Dispatch;
  readonly trial: Trial;
  readonly scene: Scene;
}

/** Words, and what they are written to the beginning of. */
interface Write {
  readonly words: Words;
  readonly into: Part;
}

/** What is read of an output, its guard last. */
interface Read {
  readonly part: Part;
  readonly slices: readonly { readonly from: number; readonly bytes: number }[];
  readonly bytes: number;
  readonly guard: number;
}

/** A run that was submitted, and the copy of what it left. */
interface Left {
  readonly run: Run;
  readonly reads: readonly Read[];
  readonly scratch: GPUBuffer;
  /** Where the copy is there. */
  readonly from: number;
  readonly bytes: number;
}

function partOf(bound: Bound): Part {
  return "buffer" in bound ? bound : wholeOf(bound);
}

/**
 * Runs trials one after the other, each in a submit of its own: the GPU is at one while the next is made, and what is slow holds up
 * nobody who draws in between. Leaves what they were run on empty, but for what they only read.
 * @param runs May be made one by one.
 * @param clear Is encoded behind all of them.
 * @returns the error of each.
 */
export async function runTrials(
  gpu: Gpu,
  state: State,
  runs: Iterable<Run>,
  clear: (encoder: GPUCommandEncoder) => void,
): Promise<number[]> {
  const left: Left[] = [];
  const readback = new Readback(gpu);
  try {
    try {
      for (const run of runs) left.push(submit(gpu, state, run));
    } finally {
      const encoder = gpu.device.createCommandEncoder({ label: "end of the check" });
      clear(encoder);
      gpu.device.queue.submit([encoder.finish()]);
    }
    let total = 0;
    const slices = left.map(({ scratch, from, bytes }) => {
      total += bytes;
      return { buffer: scratch, from, to: total - bytes, bytes };
    });
    const words = new Uint32Array(total / 4);
    await readback.gather(slices, words);
    let at = 0;
    const take = (bytes: number) => {
      at += bytes / 4;
      return words.subarray(at - bytes / 4, at);
    };
    return left.map(({ run, reads }) => {
      const errors = Object.values(run.trial.outputs).map(({ error }, o) => {
        const { bytes, guard } = reads[o]!;
        const found = error(take(bytes - guard));
        const isPast = take(guard).some((word) => word !== 0);
        return isPast ? Number.POSITIVE_INFINITY : found;
      });
      return Math.max(...errors);
    });
  } finally {
    readback.destroy();
    for (const { scratch } of left) scratch.destroy();
  }
}

function submit(gpu: Gpu, state: State, run: Run): Left {
  const { device } = gpu;
  const { dispatch, trial } = run;
  const writes = writesOf(run, state);
  const reads = Object.entries(trial.outputs).map(([name, output]) => readOf(dispatch, name, output));
  const given = writes.reduce((sum, { words }) => sum + words.byteLength, 0);
  const bytes = reads.reduce((sum, read) => sum + read.bytes, 0);
  const scratch = gpu.buffer("scratch of a check", given + bytes);
  const encoder = device.createCommandEncoder({ label: "check" });
  const clear = () => {
    for (const { part, slices } of reads) {
      for (const slice of slices) encoder.clearBuffer(part.buffer, part.offset + slice.from, slice.bytes);
    }
  };
  clear();
  let at = 0;
  for (const { words, into } of writes) {
    device.queue.writeBuffer(scratch, at, words);
    encoder.copyBufferToBuffer(scratch, at, into.buffer, into.offset, words.byteLength);
    at += words.byteLength;
  }
  encode(encoder, [dispatch], dispatch.label);
  for (const { part, slices } of reads) {
    for (const slice of slices) {
      encoder.copyBufferToBuffer(part.buffer, part.offset + slice.from, scratch, at, slice.bytes);
      at += slice.bytes;
    }
  }
  for (const { words, into } of writes) encoder.clearBuffer(into.buffer, into.offset, words.byteLength);
  clear();
  device.queue.submit([encoder.finish()]);
  return { run, reads, scratch, from: given, bytes };
}

function readOf({ buffers }: Dispatch, name: string, { slices, isWhole }: Output): Read {
  const part = partOf(buffers[name]!);
  const end = slices.reduce((last, { from, bytes }) => Math.max(last, from + bytes), 0);
  const guard = isWhole ? Math.min(GUARD, part.size - end) : 0;
  const all = guard > 0 ? [...slices, { from: end, bytes: guard }] : slices;
  return { part, slices: all, bytes: all.reduce((sum, { bytes }) => sum + bytes, 0), guard };
}

/** What is written before a dispatch: the rows and their pages, if it has them, what it reads, and where it goes on from. */
function writesOf({ dispatch: { buffers }, trial, scene }: Run, { rows, pages }: State): Write[] {
  const shared: readonly [Bound, Words][] = [
    [rows.buffer, scene.rowsWords],
    [rows.drawnBuffer, scene.drawnWords],
    [pages, scene.pagesWords],
  ];
  const bound = Object.values(buffers);
  const write = (name: string, words: Words): Write => ({ words, into: partOf(buffers[name]!) });
  return [
    ...shared.flatMap(([buffer, words]) => (bound.includes(buffer) ? [{ words, into: partOf(buffer) }] : [])),
    ...Object.entries(trial.inputs).map(([name, words]) => write(name, words)),
    ...Object.entries(trial.outputs).flatMap(([name, { before }]) => (before ? [write(name, before)] : [])),
  ];
}
