import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encode } from "../gpu/kernel.ts";
import { wholeOf } from "../gpu/part.ts";
import { Readback } from "../gpu/readback.ts";
import type { Matrix } from "../kernels/matrix.ts";
import { type ProductWay, product } from "../kernels/product.ts";
import { SWIGLU } from "../kernels/swiglu.ts";
import { prepare } from "../kernels/way.ts";
import { clearMatrix, fillMatrix, fillRepeatedly, Noise } from "./noise.ts";
import { FEW_ROWS, rowsToTime } from "./pacing.ts";
import type { Rows } from "./rows.ts";
import type { Activations } from "./sets/plain.ts";
import { timeRuns } from "./timing.ts";
import type { Tried, Tryout } from "./tune.ts";

/** Two matrices of a layer, and what goes between their kernels in a pass of as many rows as there is room for: all of it is written to. */
export interface PrefillSubject {
  readonly gateUp: Matrix; // [2 hidden, dim]
  readonly down: Matrix; //   [dim, hidden]
  readonly rows: Rows;
  readonly activations: Activations;
}

/** Distinct rows of noise: a prime, so that rows of a tile differ. */
const INPUT_ROWS = 7;

/** x += (silu(h W_gateᵀ) ⊙ h W_upᵀ) W_downᵀ of a chunk's rows on the GPU, the way of its products to be chosen. */
export class PrefillTrials implements Tryout<ProductWay> {
  private readonly gpu: Gpu;
  private readonly subject: PrefillSubject;
  private readonly readback: Readback;
  /** Of a run of few rows, the least that any way took. */
  private least = Number.POSITIVE_INFINITY;

  constructor(gpu: Gpu, subject: PrefillSubject) {
    this.gpu = gpu;
    this.subject = subject;
    this.readback = new Readback(gpu);
    const { gateUp, down, activations } = subject;
    const values = new Noise();
    for (const matrix of [gateUp, down]) fillMatrix(gpu, matrix, values);
    const input = new Uint32Array(values.take(INPUT_ROWS * gateUp.columns).buffer);
    fillRepeatedly(gpu, wholeOf(activations.h), input, 4 * subject.rows.capacity * gateUp.columns);
  }

  async prepare({ name }: ProductWay): Promise<Tried> {
    const { gpu } = this;
    const { gateUp, down, rows, activations } = this.subject;
    const { h, gateUp: both, gated, x, quads } = activations;
    const { capacity: tokens, buffer } = rows;
    const [widen, activate, narrow] = await Promise.all([
      product(gpu, gateUp, tokens, name, quads),
      prepare(gpu, SWIGLU, { hidden: down.columns, tokens }),
      product(gpu, down, tokens, name, quads, true),
    ]);
    const pass = [
      ...widen({ x: h, y: both, rows: buffer }),
      activate({ gateUp: both, y: gated, rows: buffer }),
      ...narrow({ x: gated, y: x, rows: buffer }),
    ];
    return {
      way: name,
      run: (repeats) => this.time(pass, rowsToTime(rows.capacity, this.least), repeats),
      result: () => this.result(pass),
    };
  }

  end(): void {
    const { gateUp, down, activations } = this.subject;
    const encoder = this.gpu.device.createCommandEncoder({ label: "trials" });
    for (const matrix of [gateUp, down]) clearMatrix(encoder, matrix);
    const { h, gateUp: both, gated, x, quads } = activations;
    for (const buffer of [h, both, gated, x, quads]) encoder.clearBuffer(buffer);
    this.gpu.device.queue.submit([encoder.finish()]);
    this.readback.destroy();
  }

  private time(pass: readonly Dispatch[], count: number, repeats: number): Promise<number> {
    this.gpu.device.queue.writeBuffer(this.subject.rows.buffer, 0, Uint32Array.of(count));
    return timeRuns(this.gpu, pass, repeats);
  }

  /** What a run of few rows adds to an x of zeros: [rows, dim]. */
  private async result(pass: readonly Dispatch[]): Promise<Float32Array> {
    const { gpu, readback, subject } = this;
    const count = Math.min(FEW_ROWS, subject.rows.capacity);
    gpu.device.queue.writeBuffer(subject.rows.buffer, 0, Uint32Array.of(count));
    const encoder = gpu.device.createCommandEncoder({ label: "trial" });
    encoder.clearBuffer(subject.activations.x);
    encode(encoder, pass, "trial");
    const words = new Uint32Array(count * subject.down.rows);
    await readback.submitAndRead(encoder, subject.activations.x, words);
    // A driver may compile what runs for the first time.
    this.least = Math.min(this.least, await this.time(pass, count, 1));
    return new Float32Array(words.buffer);
  }
}
