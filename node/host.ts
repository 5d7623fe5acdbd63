import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DeviceError } from "../src/errors.ts";
import type { Host } from "../src/host.ts";
import { loadDawn } from "./dawn.ts";
import { napUntil } from "./nap.ts";
import { fileStore } from "./store.ts";

/** A host that can be let go. */
export interface DawnHost extends Host {
  /** Lets go of Dawn's GPU object, and of its memory once every device of it is destroyed. Use the host no more. */
  release(): void;
}

/**
 * Dawn reaches its GPU object from turns of the event loop that do not keep it: collected before the last of them, it
 * ends the process with a signal. So it is kept from here, whatever becomes of the host.
 */
const inUse = new Set<GPU>();

/** A destroyed device settles what it left undone in one turn, and the next finds that nothing is left; one to spare. */
const LAST_TURNS = 3;

/** The package's own folder: from a checkout, from `dist/` or from `node_modules`. */
export const packageRoot: string = (() => {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && JSON.parse(readFileSync(file, "utf8")).name === "ziya-webgpu") return folder;
    if (dirname(folder) === folder)
      throw new Error("The package.json of ziya-webgpu is not above its own code.");
  }
})();

/**
 * Bytes of memory that a process can have: the machine's, or what its container is allowed.
 * @param constrained What Node says of the container: 0, nothing or more than there is where none bounds it.
 */
export function memoryOf(machine: number, constrained: number | undefined): number {
  return Math.min(machine, constrained || Number.POSITIVE_INFINITY);
}

/** Bytes of memory that this process can have. */
export const systemMemory: number = memoryOf(totalmem(), process.constrainedMemory());

/**
 * A flag of Dawn's, by which it offers what is no standard yet: products of matrices by subgroups, where the adapter has them.
 * Prompts are multiplied that way then, in halves.
 */
export const DAWN_SUBGROUP_MATRIX = "enable-dawn-features=allow_unsafe_apis,use_vulkan_memory_model";

/**
 * Dawn as a host.
 * @param flags Dawn's own, such as "backend=null" or "enable-dawn-features=vulkan_enable_f16_on_nvidia".
 * @throws DeviceError where Dawn is not installed.
 */
export function dawnHost(flags: string[] = []): DawnHost {
  const { create, globals } = loadDawn();
  Object.assign(globalThis, globals);
  let gpu: GPU | undefined = create(flags);
  inUse.add(gpu);
  const devices = watchDevices(gpu);
  return {
    get gpu() {
      if (!gpu) throw new DeviceError("This host was released; open another one.");
      return gpu;
    },
    systemMemory,
    wait: napUntil,
    store: fileStore(),
    adapterAdvice: "Install a Vulkan driver; a software one is Debian's mesa-vulkan-drivers.",
    readShader: (name) => readFile(join(packageRoot, "shaders", `${name}.wgsl`), "utf8"),
    release() {
      if (gpu) void letGo(gpu, devices);
      gpu = undefined;
    },
  };
}

/** The end of every device that is asked for from now on. */
function watchDevices(gpu: GPU): Promise<unknown>[] {
  const ends: Promise<unknown>[] = [];
  const requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    const adapter = await requestAdapter(options);
    if (!adapter) return null;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = (descriptor) => {
      const device = requestDevice(descriptor);
      ends.push(device.then(({ lost }) => lost).catch(() => {}));
      return device;
    };
    return adapter;
  };
  return ends;
}

async function letGo(gpu: GPU, devices: readonly Promise<unknown>[]): Promise<void> {
  await Promise.all(devices);
  for (let turn = 0; turn < LAST_TURNS; turn++) await new Promise(setImmediate);
  inUse.delete(gpu);
}
