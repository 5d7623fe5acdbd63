import type { Gpu } from "./device.ts";

/** Copies GPU buffers to the host through one staging buffer that grows and is kept. */
export class Readback {
  private readonly gpu: Gpu;
  private staging: GPUBuffer | undefined;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /**
   * Ends `encoder` with a copy of the first `bytes` bytes of `source`, submits it and waits for them.
   * @throws DeviceError or DeviceLostError when the device failed meanwhile.
   */
  async submitAndRead(encoder: GPUCommandEncoder, source: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    const { device } = this.gpu;
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
      await staging.mapAsync(GPUMapMode.READ, 0, bytes);
      // A device that goes in between takes the mapping along.
      const copy = staging.getMappedRange(0, bytes).slice(0);
      staging.unmap();
      this.gpu.check();
      return copy;
    } catch (error) {
      return this.gpu.explain(error);
    }
  }

  destroy(): void {
    this.staging?.destroy();
  }
}
