import { BusyError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encodeParts } from "../gpu/kernel.ts";
import { Readback } from "../gpu/readback.ts";
import { MOST_DRAWN } from "../kernels/rows.ts";
import type { PassKind, PassPart } from "./language-model.ts";
import { Pacing } from "./pacing.ts";
import type { Passes } from "./passes.ts";
import type { State } from "./state.ts";
import type { Weights } from "./weights.ts";

interface PassOptions {
  /** Default "prefill". */
  readonly kind?: PassKind;
  /** Words to fill with the beginning of what the pass leaves in a buffer. */
  readonly read?: { readonly source: GPUBuffer; readonly words: Uint32Array };
}

/** Runs the passes of a model, one at a time: its rows and what is read back have one place. */
export class PassRunner {
  private readonly gpu: Gpu;
  private readonly state: State;
  private readonly readback: Readback;
  /** By what its passes took. */
  readonly pacing: Pacing;
  private busy = false;

  constructor(gpu: Gpu, state: State, weights: Weights) {
    this.gpu = gpu;
    this.state = state;
    this.readback = new Readback(gpu);
    this.pacing = new Pacing(weights);
  }

  /** Rows of the next pass of a prompt that has so many left. */
  rowsOf(left: number): number {
    return this.pacing.rowsOf(left, this.state.rows.capacity);
  }

  /** @throws BusyError when a pass or a run is under way. */
  expectIdle(): void {
    if (this.busy) {
      throw new BusyError("The model runs a pass; await it before the next one, or end the run ahead.");
    }
  }

  acquire(): void {
    this.expectIdle();
    this.busy = true;
  }

  readonly release = (): void => {
    this.busy = false;
  };

  /** Runs what nothing else may run beside. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    this.acquire();
    try {
      return await work();
    } finally {
      this.release();
    }
  }

  /** Runs a pass of tokens for which their sequences have room. */
  run(parts: readonly PassPart[], dispatches: readonly Dispatch[], options: PassOptions = {}): Promise<void> {
    return this.exclusively(() => this.pass(parts, dispatches, options));
  }

  /** As run(), filling `words` with the logits of every row, [count, vocab]: so many at a time as a pass draws from. */
  score(part: PassPart, { decodeAt, prefill }: Passes, vocab: number, words: Uint32Array): Promise<void> {
    const { device } = this.gpu;
    const { rows, logits: source, attention } = this.state;
    return this.exclusively(async () => {
      if (part.count === 1) {
        // With the kernels that take every position.
        const { logits } = decodeAt(attention.context - 1).draw;
        return this.pass([{ ...part, drawn: 1 }], logits, { read: { source, words } });
      }
      await this.pass([part], prefill.append);
      for (let first = 0; first < part.count; first += MOST_DRAWN) {
        const count = Math.min(MOST_DRAWN, part.count - first);
        rows.redraw(device.queue, first, count);
        const encoder = encodeParts(device, [prefill.head], "head");
        const own = words.subarray(first * vocab, (first + count) * vocab);
        await this.readback.submitAndRead(encoder, source, own);
      }
    });
  }

  destroy(): void {
    this.readback.destroy();
  }

  private async pass(
    parts: readonly PassPart[],
    dispatches: readonly Dispatch[],
    { kind = "prefill", read }: PassOptions = {},
  ): Promise<void> {
    const { device } = this.gpu;
    const { rows } = this.state;
    rows.clear();
    for (const part of parts) rows.add(part);
    rows.write(device.queue);
    const { count } = rows;
    const isPrompt = kind === "prefill" && count > 1;
    const started = performance.now();
    const submits = isPrompt ? this.pacing.partsOf(dispatches, count) : this.pacing.tokenPartsOf(dispatches);
    const encoder = encodeParts(device, submits, isPrompt ? "prefill" : "decode");
    if (read) await this.readback.submitAndRead(encoder, read.source, read.words);
    else {
      device.queue.submit([encoder.finish()]);
      await this.gpu.finished();
    }
    const took = performance.now() - started;
    if (isPrompt) this.pacing.note(count, took);
    else this.pacing.noteTokens(took);
    for (const { sequence, tokens, first, count } of parts) sequence.append(tokens, first, count);
  }
}
