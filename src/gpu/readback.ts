import type { Gpu } from "./device.ts";

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
    const { device } = this.gpu;
    const bytes = words.byteLength;
    if (!this.staging || this.staging.size < bytes) {
      this.staging?.destroy();
      this.staging = undefined;
      const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
      this.staging = await this.gpu.guarded(
        "Reading back",
        async () => this.gpu.allocate("the copy for the host", bytes, usage),
        (useless) => useless.destroy(),
      );
    }
    const { staging } = this;
    encoder.copyBufferToBuffer(source, 0, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
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

  destroy(): void {
    this.staging?.destroy();
  }
}
