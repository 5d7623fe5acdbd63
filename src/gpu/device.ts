import { DeviceError, DeviceLostError, OptionError } from "../errors.ts";
import type { Host } from "../host.ts";
import { show } from "../show.ts";
import { chooseAdapter, describeAdapter } from "./adapter.ts";
import { ADVICE, Buffers, firstLine } from "./buffers.ts";
import {
  deviceFeatures,
  type Feature,
  featuresOf,
  missingFeatures,
  PRESETS,
  RUNGS,
  type Rung,
} from "./features.ts";
import { nudgingWait } from "./nudge.ts";

/** What a device may be opened with: all that the adapter has, or what WebGPU guarantees. */
export const LIMITS = ["adapter", "default"] as const;

export interface DeviceOptions {
  /** Part of an adapter's vendor, architecture or description, any case; without it hardware comes before software. */
  readonly adapter?: string;
  /** Use the features of a preset only, where the adapter has more. */
  readonly rung?: Rung;
  /** "default" leaves every limit at WebGPU's guaranteed value. */
  readonly limits?: (typeof LIMITS)[number];
}

/** How a device came to its end. */
export interface Loss {
  readonly error: DeviceError | DeviceLostError;
  /** Whether its memory was too small. */
  readonly ranOut: boolean;
}

/** The limits that sizes of buffers depend on; everything else fits WebGPU's defaults. */
const RAISED_LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize"] as const;

/** A device, what it can do, and the one place where its errors come to light. */
export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  readonly info: GPUAdapterInfo;
  /** What the device was opened with. */
  readonly features: ReadonlySet<Feature>;
  readonly readShader: Host["readShader"];
  /** Bytes of the machine's memory, where the host knows them. */
  readonly systemMemory: number | undefined;
  /** Where the host has one. */
  readonly store: Host["store"];
  /** What was made of this device once and is kept with it, by what it was made of. */
  readonly made = new Map<string, Promise<unknown>>();
  /** Ways of kernels that gave wrong results here, by `wayLabel()`, and how far off they were: nobody takes them any more. */
  readonly wrong = new Map<string, string>();
  private readonly host: Host;
  private readonly buffers: Buffers;
  private failure: Loss | undefined;
  private released = false;
  private lost = false;
  /** Of the guarded work that runs: the first buffer that found no room. */
  private shortage: string | undefined;
  private guards = 0;
  private readonly note = ({ error }: GPUUncapturedErrorEvent) => {
    const ranOut = error instanceof GPUOutOfMemoryError;
    const found = `WebGPU reported an error on ${describeAdapter(this.info)}: ${error.message}`;
    this.failure ??= { error: new DeviceError(ranOut ? this.outOfMemory(error.message) : found), ranOut };
  };

  constructor(host: Host, adapter: GPUAdapter, device: GPUDevice, features: ReadonlySet<Feature>) {
    this.host = host;
    this.adapter = adapter;
    this.readShader = (name) => this.host.readShader(name);
    this.systemMemory = host.systemMemory;
    this.store = host.store;
    this.device = device;
    this.info = adapter.info;
    this.features = features;
    this.buffers = new Buffers(device, describeAdapter(adapter.info), (shortage) =>
      this.noteShortage(shortage),
    );
    device.addEventListener("uncapturederror", this.note);
    void device.lost.then(({ message }) => {
      this.lost = true;
      const ranOut = OUT_OF_MEMORY.test(message);
      const found = `The GPU device of ${describeAdapter(this.info)} was lost (${firstLine(message) || "no reason given"}); load the model again.`;
      this.failure ??= { error: new DeviceLostError(ranOut ? this.outOfMemory(message) : found), ranOut };
    });
  }

  /** What `make` makes; with the same key it is made once. A failure is not kept. */
  once<T>(key: string, make: () => Promise<T>): Promise<T> {
    let pending = this.made.get(key) as Promise<T> | undefined;
    if (!pending) {
      pending = make();
      this.made.set(key, pending);
      pending.catch(() => this.made.delete(key));
    }
    return pending;
  }

  /** What `work` gives, which the GPU is at: its host may have something better to do meanwhile than to ask. */
  wait<T>(work: Promise<T>): Promise<T> {
    return this.host.wait?.(work) ?? work;
  }

  /** Throws the first error that the device reported since it was opened, if there was one. */
  check(): void {
    if (this.failure) throw this.failure.error;
  }

  /** Why nothing will run on it any more, where another device may help. */
  get loss(): Loss | undefined {
    const { failure } = this;
    return failure?.ranOut || failure?.error instanceof DeviceLostError ? failure : undefined;
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

  /** Bytes of the buffers that were made here and are not destroyed. */
  get allocated(): number {
    return this.buffers.bytes;
  }

  /** A storage buffer of `size` bytes (rounded up to 16), zeroed. */
  buffer(label: string, size: number, usage = 0): GPUBuffer {
    if (size > this.bindingLimit) {
      this.check();
      throw new DeviceError(
        `${label} needs a buffer of ${size} bytes; ${describeAdapter(this.info)} binds at most ${this.bindingLimit}.`,
      );
    }
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    return this.allocate(label, size, storage | usage);
  }

  /** As buffer(), for any use. One that finds no room is told by guarded(), or else by the next check(). */
  allocate(label: string, size: number, usage: number): GPUBuffer {
    this.check();
    return this.buffers.make(label, size, usage);
  }

  /** Runs `make`; when it throws, the buffers that it made until then are destroyed. */
  allOrNone<T>(make: () => T): T {
    return this.buffers.allOrNone(make);
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
    const { device } = this;
    this.guards++;
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    const outcome = await work().then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
    const scopes = await Promise.all([device.popErrorScope(), device.popErrorScope()]).catch(
      (error: unknown) => error as Error,
    );
    const { shortage } = this;
    if (--this.guards === 0) this.shortage = undefined;
    try {
      const [invalid, memory] = scopes instanceof Error ? [] : scopes;
      const failed = `${what} failed on ${describeAdapter(this.info)}: `;
      if (shortage) throw new DeviceError(`${failed}${shortage}. ${ADVICE}`);
      if (memory) throw new DeviceError(`${failed}${this.outOfMemory(memory.message)}`);
      if (this.failure?.ranOut) {
        const { error: cause } = this.failure;
        throw new DeviceError(`${failed}${cause.message}`, { cause });
      }
      this.check();
      if ("error" in outcome) throw outcome.error;
      if (invalid) throw new DeviceError(`${failed}${invalid.message}`);
      if (scopes instanceof Error) await this.explain(scopes);
      return outcome.result;
    } catch (error) {
      if ("result" in outcome) discard(outcome.result);
      throw error;
    }
  }

  /**
   * Waits until all that was submitted has run.
   * @throws DeviceError or DeviceLostError when the device failed meanwhile.
   */
  async finished(): Promise<void> {
    await this.wait(this.device.queue.onSubmittedWorkDone()).catch((error) => this.explain(error));
    this.check();
  }

  /** check(), for when a call was rejected: a lost device does that before it says that it is lost. */
  async settled(): Promise<void> {
    this.check();
    await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, LOSS_MILLISECONDS))]);
    this.check();
  }

  /** Throws why a call of the device was rejected. */
  async explain(error: unknown): Promise<never> {
    await this.settled();
    throw new DeviceError(`A call of ${describeAdapter(this.info)} failed: ${(error as Error).message}`, {
      cause: error,
    });
  }

  destroy(): void {
    if (this.released) return;
    this.released = true;
    const error = new DeviceLostError("The GPU device was released; load the model again to go on.");
    this.failure ??= { error, ranOut: false };
    // Dawn keeps the device, and all that listeners know of, as long as it has one.
    this.device.removeEventListener("uncapturederror", this.note);
    this.made.clear();
    // Nothing is left of a lost one; Dawn may end the process where it is destroyed once more.
    if (!this.lost) this.device.destroy();
  }

  private noteShortage(shortage: string): void {
    if (this.guards > 0) this.shortage ??= shortage;
    else {
      const error = new DeviceError(`${describeAdapter(this.info)}: ${shortage}. ${ADVICE}`);
      this.failure ??= { error, ranOut: true };
    }
  }

  private outOfMemory(reason: string): string {
    return `The memory of ${describeAdapter(this.info)} ran out (${firstLine(reason)}): ${this.buffers.bytes} bytes of buffers are allocated on it, and there is no room for more. ${ADVICE}`;
  }
}

/** In what drivers and browsers say of a device that they could not go on with. */
const OUT_OF_MEMORY = /out.?of.?(device.|host.)?memory/i;
/** How long a device that rejects a call may take to say that it is lost: a browser's other process says so. */
const LOSS_MILLISECONDS = 500;

/**
 * Chooses an adapter and opens a device on it with the limits and features that the runtime uses.
 * @throws DeviceError as chooseAdapter() does, and when the wanted rung is above the adapter's.
 */
export async function openDevice(host: Host, options: DeviceOptions = {}): Promise<Gpu> {
  const adapter = await chooseAdapter(host, options.adapter);
  const name = describeAdapter(adapter.info);
  const offered = featuresOf(host.gpu, adapter);
  const { rung } = options;
  if (rung !== undefined && !RUNGS.includes(rung)) {
    throw new OptionError(`There is no rung "${rung}"; the rungs are ${RUNGS.join(", ")}.`);
  }
  const features: ReadonlySet<Feature> = rung === undefined ? offered : new Set(PRESETS[rung]);
  const missing = missingFeatures([...features], offered);
  if (missing.length > 0) {
    throw new DeviceError(`Rung "${rung}" needs ${missing.join(", ")}, which ${name} does not have.`);
  }
  const { limits = "adapter" } = options;
  if (!LIMITS.includes(limits)) {
    throw new OptionError(`limits is ${show(limits)}; wanted ${LIMITS.join(", ")}.`);
  }
  const requiredLimits: Record<string, number> = {};
  if (limits === "adapter") {
    for (const limit of RAISED_LIMITS) requiredLimits[limit] = adapter.limits[limit];
  }
  try {
    const device = await adapter.requestDevice({
      label: "ziya",
      requiredFeatures: deviceFeatures(features) as GPUFeatureName[],
      requiredLimits,
    });
    const wait = host.wait ? undefined : await nudgingWait(device);
    return new Gpu(wait ? Object.create(host, { wait: { value: wait } }) : host, adapter, device, features);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new DeviceError(
      `${name} gives no device (${reason}): close what else uses it, or choose another adapter.`,
      { cause },
    );
  }
}
