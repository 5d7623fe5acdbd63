import type { Gpu } from "./device.ts";

/** Bytes of a buffer, and where they go: multiples of 4. */
export interface Slice {
  readonly buffer: GPUBuffer;
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
}

/** Copies GPU buffers to the host through one staging buffer that grows and is kept. */
export class Readback {
  private readonly gpu: Gpu;
  private staging: GPUBuffer | undefined;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /**
   * Ends `encoder` with a copy of the beginning of `source`, submits it, waits for it and fills `words` with it.
   * @throws DeviceError or DeviceLostError when the device failed meanwhile.
   */
  async submitAndRead(encoder: GPUCommandEncoder, source: GPUBuffer, words: Uint32Array): Promise<void> {
    const bytes = words.byteLength;
    const staging = await this.roomFor(bytes);
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    await this.submit(encoder, staging, words);
  }

  /**
   * Fills `words` with what stands in many places.
   * @throws DeviceError or DeviceLostError when the device failed meanwhile.
   */
  async gather(slices: Iterable<Slice>, words: Uint32Array): Promise<void> {
    const staging = await this.roomFor(words.byteLength);
    const encoder = this.gpu.device.createCommandEncoder({ label: "gather" });
    for (const { buffer, from, to, bytes } of slices) {
      encoder.copyBufferToBuffer(buffer, from, staging, to, bytes);
    }
    await this.submit(encoder, staging, words);
  }

  destroy(): void {
    this.staging?.destroy();
  }

  private async roomFor(bytes: number): Promise<GPUBuffer> {
    if (this.staging && this.staging.size >= bytes) return this.staging;
    this.staging?.destroy();
    this.staging = undefined;
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    this.staging = await this.gpu.guarded(
      "Reading back",
      async () => this.gpu.allocate("the copy for the host", bytes, usage),
      (useless) => useless.destroy(),
    );
    return this.staging;
  }

  private async submit(encoder: GPUCommandEncoder, staging: GPUBuffer, words: Uint32Array): Promise<void> {
    const bytes = words.byteLength;
    this.gpu.device.queue.submit([encoder.finish()]);
    try {
      await this.gpu.wait(staging.mapAsync(GPUMapMode.READ, 0, bytes));
      // A device that goes in between takes the mapping along.
      words.set(new Uint32Array(staging.getMappedRange(0, bytes)));
      staging.unmap();
      this.gpu.check();
    } catch (error) {
      await this.gpu.explain(error);
    }
  }
}
