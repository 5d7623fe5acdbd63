import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Host } from "../src/host.ts";
import { loadDawn } from "./dawn.ts";

/** A host that can be let go, so that the process ends by itself. */
export interface DawnHost extends Host {
  /** Drops Dawn's GPU object. Destroy every device of it first, and use the host no more. */
  release(): void;
}

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
 * Dawn as a host.
 * @param flags Dawn's own, such as "backend=null" or "enable-dawn-features=vulkan_enable_f16_on_nvidia".
 * @throws DeviceError where Dawn is not installed.
 */
export function dawnHost(flags: string[] = []): DawnHost {
  const { create, globals } = loadDawn();
  Object.assign(globalThis, globals);
  // Dawn aborts the process when this object is collected while a device is in use, and keeps the process alive
  // while it is held: the host holds it until release().
  let gpu: GPU | undefined = create(flags);
  return {
    get gpu() {
      if (!gpu) throw new Error("This host was released; open another one.");
      return gpu;
    },
    systemMemory,
    readShader: (name) => readFile(join(packageRoot, "shaders", `${name}.wgsl`), "utf8"),
    release() {
      gpu = undefined;
    },
  };
}
