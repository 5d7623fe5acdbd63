import type { Gpu } from "../gpu/device.ts";
import { type Dispatch, encode } from "../gpu/kernel.ts";
import { Readback } from "../gpu/readback.ts";
import { ADD, GATE } from "../kernels/fused.ts";
import type { GemvWay } from "../kernels/gemv.ts";
import { type Matrix, type Slab, slabBuffers, slabShape } from "../kernels/matrix.ts";
import { type Arithmetic, vectorBytes, vectorOf } from "../kernels/vector.ts";
import { type Buffers, prepare } from "../kernels/way.ts";
import { packRows } from "../quantize/pack.ts";
import { storedBytes } from "../stored.ts";
import { fillRepeatedly, Noise } from "./noise.ts";
import type { Trial } from "./timing.ts";

/** What is run: two matrices of a layer, whose buffers are written to, and the norm's epsilon. */
export interface Subject {
  readonly gateUp: Matrix; // [2 hidden, dim], one slab
  readonly down: Matrix; //   [dim, hidden], of which the first slab
  readonly eps: number;
}

/** Distinct rows of a matrix of noise: no divisor of a workgroup's 32, so that rows that are mixed up show. */
const NOISE_ROWS = 5;
/** Of the vector that the first product gets: its values are -127 to 127 times this. */
const INPUT_SCALE = 1 / 64;

/** down · (silu(gate h) ⊙ up h) on the GPU, the way of its products to be chosen. */
export class Trials {
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
    for (const matrix of [gateUp, down]) this.fill(matrix, values);
  }

  /** Compiles the products in a way. @throws ShaderError where its kernels do not compile. */
  async prepare({ name, arithmetic }: GemvWay): Promise<Trial & { result(): Promise<Float32Array> }> {
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
      run: (repeats) => this.time(pair, repeats),
      result: () => this.result(pair),
    };
  }

  /** Releases what was allocated, and leaves the matrices as empty as they were. */
  end(): void {
    const encoder = this.gpu.device.createCommandEncoder({ label: "trials" });
    for (const { weight, scales } of this.slabs()) {
      encoder.clearBuffer(weight.buffer, weight.offset, weight.size);
      if (scales) encoder.clearBuffer(scales.buffer, scales.offset, scales.size);
    }
    this.gpu.device.queue.submit([encoder.finish()]);
    this.readback.destroy();
    for (const buffer of this.own) buffer.destroy();
  }

  private slabs(): readonly Slab[] {
    return [this.subject.gateUp, this.subject.down].map(({ slabs }) => slabs[0]!);
  }

  private async time(pair: readonly Dispatch[], repeats: number): Promise<number> {
    const { device } = this.gpu;
    const encoder = device.createCommandEncoder({ label: "trial" });
    encode(encoder, Array.from({ length: repeats }, () => pair).flat(), "trial");
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await this.gpu.finished();
    return (performance.now() - start) / repeats;
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

  /** Fills a matrix's first slab with noise in its format, of a size that keeps products near the input's. */
  private fill({ format, columns, slabs: [slab] }: Matrix, values: Noise): void {
    const packed = packRows(format, values.rows(NOISE_ROWS, columns), columns);
    const stride = storedBytes(format, 1, columns);
    fillRepeatedly(this.gpu, slab!.weight, packed.words, slab!.rows * stride.words);
    if (slab!.scales) {
      fillRepeatedly(this.gpu, slab!.scales, packed.scales!, slab!.rows * stride.scales);
    }
  }
}
