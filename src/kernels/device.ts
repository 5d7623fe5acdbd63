import { DeviceError, DeviceLostError, OptionError } from "../errors.ts";
import type { Host } from "../host.ts";

/**
 * The fallback ladder, lowest first. Each rung needs what the one below has. "core" runs on WebGPU without any
 * optional feature; "subgroups" reduces with subgroup operations of any size from 4 to 128.
 */
export const RUNGS = ["core", "subgroups"] as const;
export type Rung = (typeof RUNGS)[number];

/** What a device may be opened with: all that the adapter has, or what WebGPU guarantees. */
export const LIMITS = ["adapter", "default"] as const;

export interface DeviceOptions {
  /** Part of an adapter's vendor, architecture or description, any case; without it hardware comes before software. */
  readonly adapter?: string;
  /** Force a lower rung than the adapter allows. */
  readonly rung?: Rung;
  /** "default" leaves every limit at WebGPU's guaranteed value. */
  readonly limits?: (typeof LIMITS)[number];
}

/** The limits that sizes of buffers depend on; everything else fits WebGPU's defaults. */
const RAISED_LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize"] as const;

/** A device, what it can do, and the one place where its errors come to light. */
export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly info: GPUAdapterInfo;
  readonly rung: Rung;
  readonly readShader: Host["readShader"];
  /** Bytes of the machine's memory, where the host knows them. */
  readonly systemMemory: number | undefined;
  /** Pipelines by their files and constants: the same kernel at the same size compiles once. */
  readonly pipelines = new Map<string, Promise<GPUComputePipeline>>();
  /** Keeps Dawn's GPU object alive as long as the device is in use. */
  private readonly host: Host;
  private failure: DeviceError | DeviceLostError | undefined;

  constructor(host: Host, adapter: GPUAdapter, device: GPUDevice, rung: Rung) {
    const { info } = adapter;
    this.host = host;
    this.adapter = adapter;
    this.readShader = (name) => this.host.readShader(name);
    this.systemMemory = host.systemMemory;
    this.device = device;
    this.info = info;
    this.rung = rung;
    device.addEventListener("uncapturederror", ({ error }) => {
      this.failure ??= new DeviceError(
        `WebGPU reported an error on ${describeAdapter(info)}: ${error.message}`,
      );
    });
    void device.lost.then(({ reason, message }) => {
      this.failure ??= new DeviceLostError(
        reason === "destroyed"
          ? "The GPU device was released; load the model again to go on."
          : `The GPU device of ${describeAdapter(info)} was lost (${message || "no reason given"}); load the model again.`,
      );
    });
  }

  /** Throws the first error that the device reported since it was opened, if there was one. */
  check(): void {
    if (this.failure) throw this.failure;
  }

  /** The largest storage buffer that can be created and bound whole, in bytes. */
  get bindingLimit(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /** The most workgroups of one side of a grid. */
  get workgroupLimit(): number {
    return this.device.limits.maxComputeWorkgroupsPerDimension;
  }

  /** A storage buffer of `size` bytes (rounded up to 16), zeroed. */
  buffer(label: string, size: number, usage = 0): GPUBuffer {
    this.check();
    if (size > this.bindingLimit) {
      throw new DeviceError(
        `${label} needs a buffer of ${size} bytes; ${describeAdapter(this.info)} binds at most ${this.bindingLimit}.`,
      );
    }
    return this.device.createBuffer({
      label,
      size: Math.max(16, Math.ceil(size / 16) * 16),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC | usage,
    });
  }

  /**
   * Runs `work` and turns an out-of-memory or validation error of any call in it into a DeviceError; what work made
   * meanwhile is handed to `discard`.
   */
  async guarded<T>(
    what: string,
    work: () => Promise<T>,
    discard: (result: T) => void = () => {},
  ): Promise<T> {
    this.device.pushErrorScope("out-of-memory");
    this.device.pushErrorScope("validation");
    let result: T;
    try {
      result = await work();
    } catch (error) {
      await Promise.all([this.device.popErrorScope(), this.device.popErrorScope()]).catch(() => []);
      this.check();
      throw error;
    }
    const [invalid, memory] = await Promise.all([this.device.popErrorScope(), this.device.popErrorScope()]);
    const error = memory ?? invalid;
    if (error) {
      discard(result);
      const advice = memory ? " Choose narrower weights or a shorter context." : "";
      throw new DeviceError(`${what} failed on ${describeAdapter(this.info)}: ${error.message}${advice}`);
    }
    this.check();
    return result;
  }

  destroy(): void {
    this.device.destroy();
  }
}

/** A name for people: "NVIDIA H200 (nvidia hopper)", or what the browser tells. */
export function describeAdapter(info: GPUAdapterInfo): string {
  const parts = [info.vendor, info.architecture].filter(Boolean).join(" ");
  const name = info.description || info.device || parts || "an unnamed adapter";
  return parts && parts !== name ? `${name} (${parts})` : name;
}

/** Every distinct adapter WebGPU offers, hardware before software. */
export async function listAdapters(gpu: GPU): Promise<GPUAdapter[]> {
  const requests: GPURequestAdapterOptions[] = [
    { powerPreference: "high-performance" },
    { powerPreference: "low-power" },
    { forceFallbackAdapter: true },
  ];
  const found = new Map<string, GPUAdapter>();
  for (const request of requests) {
    const adapter = await gpu.requestAdapter(request);
    if (adapter && !found.has(describeAdapter(adapter.info)))
      found.set(describeAdapter(adapter.info), adapter);
  }
  return [...found.values()].sort(
    (a, b) => Number(a.info.isFallbackAdapter) - Number(b.info.isFallbackAdapter),
  );
}

/** The highest rung that an adapter and its WGSL compiler carry. */
export function highestRung(gpu: GPU, adapter: GPUAdapter): Rung {
  // Without subgroup_id a lane cannot tell which subgroup of its workgroup it is in.
  const subgroups = adapter.features.has("subgroups") && gpu.wgslLanguageFeatures.has("subgroup_id");
  return subgroups ? "subgroups" : "core";
}

/**
 * Chooses an adapter and opens a device on it with the limits and features that the runtime uses.
 * @throws DeviceError when there is no adapter, none of the wanted name, or the wanted rung is above the adapter's.
 */
export async function openDevice(host: Host, options: DeviceOptions = {}): Promise<Gpu> {
  const adapters = await listAdapters(host.gpu);
  const wanted = options.adapter?.toLowerCase();
  const names = adapters.map(({ info }) => describeAdapter(info));
  const index = wanted === undefined ? 0 : names.findIndex((name) => name.toLowerCase().includes(wanted));
  const adapter = adapters[index];
  if (!adapter) {
    throw new DeviceError(
      adapters.length === 0
        ? "WebGPU found no adapter. Install a Vulkan driver (a software one is Debian's mesa-vulkan-drivers), or use a browser with WebGPU switched on."
        : `No adapter matches "${options.adapter}"; WebGPU found ${names.join(", ")}.`,
    );
  }
  const highest = highestRung(host.gpu, adapter);
  const rung = options.rung ?? highest;
  if (!RUNGS.includes(rung))
    throw new OptionError(`There is no rung "${rung}"; the rungs are ${RUNGS.join(", ")}.`);
  if (RUNGS.indexOf(rung) > RUNGS.indexOf(highest)) {
    throw new DeviceError(`Rung "${rung}" was asked for, but ${names[index]} reaches only "${highest}".`);
  }
  const { limits = "adapter" } = options;
  if (!LIMITS.includes(limits)) {
    throw new OptionError(`limits is ${JSON.stringify(limits)}; wanted ${LIMITS.join(", ")}.`);
  }
  const requiredLimits: Record<string, number> = {};
  if (limits === "adapter") {
    for (const limit of RAISED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
  }
  try {
    const device = await adapter.requestDevice({
      label: "ziya",
      requiredFeatures: rung === "subgroups" ? ["subgroups"] : [],
      requiredLimits,
    });
    return new Gpu(host, adapter, device, rung);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new DeviceError(
      `${names[index]} gives no device (${reason}): close what else uses it, or choose another adapter.`,
      { cause },
    );
  }
}
