import type { Gpu } from "../../gpu/device.ts";
import { type Bound, type Dispatch, encode } from "../../gpu/kernel.ts";
import { type Part, wholeOf } from "../../gpu/part.ts";
import { Readback } from "../../gpu/readback.ts";
import type { State } from "../state.ts";
import type { Scene } from "./scene.ts";
import type { Stage } from "./stage.ts";
import type { Trial, Words } from "./trial.ts";

/** Bytes behind an output that have to stay as they are, where its buffer has them. */
const GUARD = 256;

/** A trial of a dispatch, and the rows of the pass that it is one of. */
export interface Run {
  readonly dispatch: Dispatch;
  readonly trial: Trial;
  readonly scene: Scene;
}

/** Bytes to write before, and bytes to read after. */
interface Plan {
  readonly words: Words;
  readonly into: Part;
}

function partOf(bound: Bound): Part {
  return "buffer" in bound ? bound : wholeOf(bound);
}

/**
 * Runs trials one after the other, each in a submit of its own: what is slow holds up nobody who draws in between. Gives the
 * error of each, and leaves what they were run on as empty as it was.
 */
export async function runTrials(
  gpu: Gpu,
  state: State,
  stage: Stage,
  runs: readonly Run[],
): Promise<number[]> {
  const written = runs.map((run) => writesOf(run, state));
  const read = runs.map(({ trial, dispatch }) =>
    Object.entries(trial.outputs).map(([name, { slices, isWhole }]) => {
      const part = partOf(dispatch.buffers[name]!);
      const end = slices.reduce((last, { from, bytes }) => Math.max(last, from + bytes), 0);
      const guard = isWhole ? Math.min(GUARD, part.size - end) : 0;
      return { part, slices: guard > 0 ? [...slices, { from: end, bytes: guard }] : slices, guard };
    }),
  );
  const given = written.flat().reduce((sum, { words }) => sum + words.byteLength, 0);
  const left = read
    .flat()
    .reduce((sum, { slices }) => slices.reduce((all, { bytes }) => all + bytes, sum), 0);
  const { inputs, results } = gpu.allOrNone(() => ({
    inputs: gpu.buffer("inputs of the check", given),
    results: gpu.buffer("results of the check", left),
  }));
  const readback = new Readback(gpu);
  try {
    const { device } = gpu;
    let [from, to] = [0, 0];
    for (const [i, { dispatch }] of runs.entries()) {
      const encoder = device.createCommandEncoder({ label: "check" });
      for (const { part, slices } of read[i]!) {
        for (const slice of slices) encoder.clearBuffer(part.buffer, part.offset + slice.from, slice.bytes);
      }
      for (const { words, into } of written[i]!) {
        device.queue.writeBuffer(inputs, from, words);
        encoder.copyBufferToBuffer(inputs, from, into.buffer, into.offset, words.byteLength);
        from += words.byteLength;
      }
      encode(encoder, [dispatch], dispatch.label);
      for (const { part, slices } of read[i]!) {
        for (const slice of slices) {
          encoder.copyBufferToBuffer(part.buffer, part.offset + slice.from, results, to, slice.bytes);
          to += slice.bytes;
        }
      }
      for (const { words, into } of written[i]!) {
        encoder.clearBuffer(into.buffer, into.offset, words.byteLength);
      }
      for (const { part, slices } of read[i]!) {
        for (const slice of slices) encoder.clearBuffer(part.buffer, part.offset + slice.from, slice.bytes);
      }
      device.queue.submit([encoder.finish()]);
    }
    const encoder = device.createCommandEncoder({ label: "end of the check" });
    stage.clear(encoder);
    const words = new Uint32Array(left / 4);
    await readback.submitAndRead(encoder, results, words);
    let at = 0;
    const take = (bytes: number) => {
      at += bytes / 4;
      return words.subarray(at - bytes / 4, at);
    };
    return runs.map(({ trial }, i) => {
      const errors = Object.values(trial.outputs).map(({ error, slices }, o) => {
        const found = error(take(slices.reduce((sum, { bytes }) => sum + bytes, 0)));
        const isPast = take(read[i]![o]!.guard).some((word) => word !== 0);
        return isPast ? Number.POSITIVE_INFINITY : found;
      });
      return Math.max(...errors);
    });
  } finally {
    readback.destroy();
    inputs.destroy();
    results.destroy();
  }
}

/** What is written before a dispatch: the rows and their pages, what it reads, and where it goes on from. */
function writesOf({ dispatch, trial, scene }: Run, { rows, pages }: State): Plan[] {
  const bound = (name: string, words: Words): Plan => ({ words, into: partOf(dispatch.buffers[name]!) });
  return [
    { words: scene.rowsWords, into: wholeOf(rows.buffer) },
    { words: scene.drawnWords, into: wholeOf(rows.drawnBuffer) },
    { words: scene.pagesWords, into: wholeOf(pages) },
    ...Object.entries(trial.inputs).map(([name, words]) => bound(name, words)),
    ...Object.entries(trial.outputs).flatMap(([name, { before }]) => (before ? [bound(name, before)] : [])),
  ];
}
