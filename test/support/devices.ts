import { type DawnHost, dawnHost } from "../../node/host.ts";
import type { Host } from "../../src/host.ts";

/** A device that was opened, and what became of it. */
interface Opened {
  readonly device: GPUDevice;
  /** Buffers that were not destroyed. */
  readonly live: Set<GPUBuffer>;
  submits: number;
  /** Loses it, as a driver does that gives this reason. */
  lose(message: string): void;
}

/** Dawn, with devices that can be lost. */
export class LosingHost {
  readonly devices: Opened[] = [];
  /** How many of the next requests for an adapter give none. */
  absent = 0;
  /** Called before each submit, with which device it is of, and which of its submits it is; both from 0. */
  onSubmit: (device: number, submit: number) => void = () => {};
  private readonly dawn: DawnHost = dawnHost();

  readonly host: Host = {
    readShader: this.dawn.readShader,
    // Else it is timed how a device waits, which submits something where other processes make it late.
    wait: (work) => work,
    gpu: Object.create(this.dawn.gpu, {
      wgslLanguageFeatures: { value: this.dawn.gpu.wgslLanguageFeatures },
      requestAdapter: {
        value: async (options: GPURequestAdapterOptions) => {
          if (this.absent > 0) {
            this.absent--;
            return null;
          }
          const adapter = await this.dawn.gpu.requestAdapter(options);
          const request = adapter?.requestDevice.bind(adapter);
          if (adapter && request) {
            adapter.requestDevice = async (descriptor) => this.watch(await request(descriptor));
          }
          return adapter;
        },
      },
    }),
  };

  /** The one that was opened last. */
  get latest(): Opened {
    return this.devices.at(-1)!;
  }

  end(): void {
    this.dawn.release();
  }

  private watch(device: GPUDevice): GPUDevice {
    const index = this.devices.length;
    let tell!: (message: string) => void;
    const told = new Promise<GPUDeviceLostInfo>((resolve) => {
      tell = (message) => resolve({ reason: "unknown", message } as unknown as GPUDeviceLostInfo);
    });
    const opened: Opened = {
      device,
      live: new Set(),
      submits: 0,
      lose(message) {
        tell(message);
        device.destroy();
      },
    };
    this.devices.push(opened);
    Object.defineProperty(device, "lost", { value: Promise.race([told, device.lost]) });
    trackBuffers(device, opened.live);
    const submit = device.queue.submit.bind(device.queue);
    device.queue.submit = (commands) => {
      this.onSubmit(index, opened.submits++);
      return submit(commands);
    };
    return device;
  }
}

/** Keeps in `live` which of a device's buffers are not destroyed. */
export function trackBuffers(device: GPUDevice, live: Set<GPUBuffer>): void {
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    live.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy();
    };
    return buffer;
  };
}
