import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encode } from "../gpu/kernel.ts";
import { Readback } from "../gpu/readback.ts";
import { ADD, GATE } from "../kernels/fused.ts";
import type { GemvWay } from "../kernels/gemv.ts";
import { type Matrix, slabBuffers, slabShape } from "../kernels/matrix.ts";
import { type Arithmetic, vectorBytes, vectorOf } from "../kernels/vector.ts";
import { type Buffers, prepare } from "../kernels/way.ts";
import { clearMatrix, fillMatrix, Noise } from "./noise.ts";
import { timeRuns } from "./timing.ts";
import type { Tried, Tryout } from "./tune.ts";

/** What is run: two matrices of a layer, whose buffers are written to, and the norm's epsilon. */
export interface Subject {
  readonly gateUp: Matrix; // [2 hidden, dim], one slab
  readonly down: Matrix; //   [dim, hidden], of which the first slab
  readonly eps: number;
}

/** Of the vector that the first product gets: its values are -127 to 127 times this. */
const INPUT_SCALE = 1 / 64;

/** down · (silu(gate h) ⊙ up h) on the GPU, the way of its products to be chosen. */
export class Trials implements Tryout<GemvWay> {
  private readonly gpu: Gpu;
  private readonly subject: Subject;
  private readonly own: GPUBuffer[] = [];
  private readonly readback: Readback;
  private readonly x: GPUBuffer; //    [rows of down's slab] f32
  private readonly norm: GPUBuffer; // [rows of down's slab] f32
  private readonly quants: Int8Array; // [dim]
  private readonly vectors = new Map<Arithmetic, Record<"h" | "gated" | "stored", GPUBuffer>>();

  constructor(gpu: Gpu, subject: Subject) {
    this.gpu = gpu;
    this.subject = subject;
    this.readback = new Readback(gpu);
    const { gateUp, down } = subject;
    const values = new Noise();
    this.quants = Int8Array.from({ length: gateUp.columns }, () => Math.trunc(127 * values.next()));
    this.x = this.buffer("x of the trials", 4 * down.slabs[0]!.rows);
    this.norm = this.buffer("norm of the trials", 4 * down.slabs[0]!.rows);
    gpu.device.queue.writeBuffer(this.norm, 0, new Float32Array(down.slabs[0]!.rows).fill(1));
    for (const matrix of [gateUp, down]) fillMatrix(gpu, matrix, values);
  }

  async prepare({ name, arithmetic }: GemvWay): Promise<Tried> {
    const { gpu, x, norm } = this;
    const { gateUp, down, eps } = this.subject;
    const shape = (matrix: Matrix) => ({ ...slabShape(matrix, matrix.slabs[0]!), arithmetic, eps });
    const [gate, add] = await Promise.all([
      prepare(gpu, GATE, { ...shape(gateUp), storedColumns: gateUp.rows / 2 }, name),
      prepare(gpu, ADD, { ...shape(down), storedColumns: down.rows }, name),
    ]);
    const { h, gated, stored } = this.vectorsOf(arithmetic);
    const slab = <Binding extends string>(matrix: Matrix, others: Readonly<Record<string, GPUBuffer>>) =>
      ({ ...others, ...slabBuffers(matrix.slabs[0]!) }) as Buffers<Binding>;
    const pair = [
      gate(slab(gateUp, { input: h, stored: gated })),
      add(slab(down, { input: gated, x, norm, stored })),
    ];
    return {
      way: name,
      run: (repeats) => timeRuns(gpu, pair, repeats),
      result: () => this.result(pair),
    };
  }

  end(): void {
    const encoder = this.gpu.device.createCommandEncoder({ label: "trials" });
    for (const matrix of [this.subject.gateUp, this.subject.down]) clearMatrix(encoder, matrix);
    this.gpu.device.queue.submit([encoder.finish()]);
    this.readback.destroy();
    for (const buffer of this.own) buffer.destroy();
  }

  /** What one run adds to an x of zeros. */
  private async result(pair: readonly Dispatch[]): Promise<Float32Array> {
    const encoder = this.gpu.device.createCommandEncoder({ label: "trial" });
    encoder.clearBuffer(this.x);
    encode(encoder, pair, "trial");
    const words = new Uint32Array(this.subject.down.slabs[0]!.rows);
    await this.readback.submitAndRead(encoder, this.x, words);
    return new Float32Array(words.buffer);
  }

  private vectorsOf(arithmetic: Arithmetic): Record<"h" | "gated" | "stored", GPUBuffer> {
    const known = this.vectors.get(arithmetic);
    if (known) return known;
    const { gateUp, down } = this.subject;
    const vector = (name: string, columns: number) =>
      this.buffer(`${name} of the trials`, vectorBytes(arithmetic, columns));
    const made = {
      h: vector("h", gateUp.columns),
      gated: vector("gated", down.columns),
      stored: vector("stored", down.rows),
    };
    this.gpu.device.queue.writeBuffer(
      made.h,
      0,
      vectorOf(arithmetic, this.quants, () => INPUT_SCALE),
    );
    this.vectors.set(arithmetic, made);
    return made;
  }

  private buffer(label: string, bytes: number): GPUBuffer {
    const buffer = this.gpu.buffer(label, bytes);
    this.own.push(buffer);
    return buffer;
  }
}
