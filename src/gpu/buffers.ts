import { DeviceError } from "../errors.ts";

/** What to do where memory is short. */
export const ADVICE = "Load the model with narrower weights or a shorter context.";

/** Dawn adds to its messages where in its own code they come from. */
export function firstLine(message: string): string {
  return message.split("\n", 1)[0]!.trim();
}

/** Makes a device's buffers, counts what they hold, and says which of them found no room. */
export class Buffers {
  /** Bytes of those that were made and are not destroyed. */
  bytes = 0;
  private readonly device: GPUDevice;
  private readonly adapter: string;
  private readonly onShortage: (shortage: string) => void;
  /** While allOrNone() runs: those that were made in it. */
  private batch: GPUBuffer[] | undefined;

  /** @param onShortage Called, some time after make(), with what the memory had no room for. */
  constructor(device: GPUDevice, adapter: string, onShortage: (shortage: string) => void) {
    this.device = device;
    this.adapter = adapter;
    this.onShortage = onShortage;
  }

  /**
   * A buffer of `size` bytes, rounded up to 16, zeroed.
   * @throws DeviceError when WebGPU throws; a memory without room is told to onShortage.
   */
  make(label: string, size: number, usage: number): GPUBuffer {
    const bytes = Math.max(16, Math.ceil(size / 16) * 16);
    const before = this.bytes;
    const noRoom = (reason: string) =>
      `${label} needs ${bytes} bytes beside the ${before} that are allocated, and there is no room (${firstLine(reason)})`;
    this.device.pushErrorScope("out-of-memory");
    let buffer: GPUBuffer;
    try {
      buffer = this.device.createBuffer({ label, size: bytes, usage });
    } catch (cause) {
      throw new DeviceError(`${this.adapter}: ${noRoom((cause as Error).message)}. ${ADVICE}`, { cause });
    } finally {
      this.device.popErrorScope().then(
        (error) => error && this.onShortage(noRoom(error.message)),
        // The device is gone, and says so itself.
        () => {},
      );
    }
    this.bytes += bytes;
    const destroy = buffer.destroy.bind(buffer);
    let held = bytes;
    buffer.destroy = () => {
      this.bytes -= held;
      held = 0;
      return destroy();
    };
    this.batch?.push(buffer);
    return buffer;
  }

  /** Runs `make`; when it throws, the buffers that it made until then are destroyed. */
  allOrNone<T>(make: () => T): T {
    const batch: GPUBuffer[] = [];
    this.batch = batch;
    try {
      return make();
    } catch (error) {
      for (const buffer of batch) buffer.destroy();
      throw error;
    } finally {
      this.batch = undefined;
    }
  }
}
