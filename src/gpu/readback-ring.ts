import type { Gpu } from "./device.ts";

interface Slot {
  readonly staging: GPUBuffer;
  /** Settles when the host may read it. */
  mapped: Promise<void>;
  /** In milliseconds of performance.now(). */
  submitted: number;
  arrived: number;
  readonly noteArrival: () => void;
}

const ignore = () => {};

/**
 * Copies the same few words of pass after pass to the host while later passes run: each has a staging buffer of its own
 * until it is taken. Nothing of ours is made per pass.
 */
export class ReadbackRing {
  private readonly gpu: Gpu;
  private readonly slots: readonly Slot[];
  private readonly bytes: number;
  private readonly unread: Uint32Array;
  private readonly commands: GPUCommandBuffer[] = [];
  private submitted = 0;
  private taken = 0;
  private lastArrival = 0;

  /**
   * @param depth How many copies may wait to be taken.
   * @param bytes Of one copy: a multiple of 4.
   */
  constructor(gpu: Gpu, depth: number, bytes: number) {
    this.gpu = gpu;
    this.bytes = bytes;
    this.unread = new Uint32Array(bytes / 4);
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.slots = gpu.allOrNone(() =>
      Array.from({ length: depth }, () => {
        const slot: Slot = {
          staging: gpu.allocate("a pass's copy for the host", bytes, usage),
          mapped: Promise.resolve(),
          submitted: 0,
          arrived: 0,
          noteArrival: () => {
            slot.arrived = performance.now();
          },
        };
        return slot;
      }),
    );
  }

  /** Whether another copy may be submitted before one is taken. */
  get hasRoom(): boolean {
    return this.waiting < this.slots.length;
  }

  /** Copies that were submitted and not taken. */
  get waiting(): number {
    return this.submitted - this.taken;
  }

  /** Ends `encoder` with a copy of the beginning of `source` and submits it; there has to be room. */
  submit(encoder: GPUCommandEncoder, source: GPUBuffer): void {
    const slot = this.slots[this.submitted % this.slots.length]!;
    encoder.copyBufferToBuffer(source, 0, slot.staging, 0, this.bytes);
    this.commands[0] = encoder.finish();
    slot.submitted = performance.now();
    this.gpu.device.queue.submit(this.commands);
    slot.mapped = slot.staging.mapAsync(GPUMapMode.READ, 0, this.bytes).then(slot.noteArrival);
    // Whoever takes it has the error.
    slot.mapped.catch(ignore);
    this.submitted++;
  }

  /**
   * Waits for the copy that was submitted first of those that wait, and fills `words` with it.
   * @returns the milliseconds that it took from when it was submitted, or from when the one before it arrived.
   * @throws DeviceError or DeviceLostError when the device failed meanwhile.
   */
  async take(words: Uint32Array): Promise<number> {
    const slot = this.slots[this.taken % this.slots.length]!;
    try {
      await this.gpu.wait(slot.mapped);
      // A device that goes in between takes the mapping along.
      words.set(new Uint32Array(slot.staging.getMappedRange(0, this.bytes)));
      slot.staging.unmap();
      this.gpu.check();
    } catch (error) {
      await this.gpu.explain(error);
    } finally {
      this.taken++;
    }
    const began = Math.max(slot.submitted, this.lastArrival);
    this.lastArrival = slot.arrived;
    return slot.arrived - began;
  }

  /** Waits until nothing waits any more, whatever became of it: an error of the device comes again with the next pass. */
  async drain(): Promise<void> {
    while (this.waiting > 0) await this.take(this.unread).catch(ignore);
  }

  destroy(): void {
    for (const { staging } of this.slots) staging.destroy();
  }
}
