/** What a worker of the package's script is called that packs: `servePacking()` is its program then. */
export const PACKING = "ziya-webgpu packing";

/** Another worker of the script that this one runs, wherever a bundler has put it. */
export function startPacking(): Worker {
  return new Worker(self.location.href, { type: "module", name: PACKING });
}
