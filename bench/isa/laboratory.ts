import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../../node/host.ts";
import type { WeightFormat } from "../../src/stored.ts";
import type { Subject } from "../subjects.ts";
import { parseAmd } from "./amd.ts";
import { ADAPTERS, type AdapterName, type Selection, type Vendor } from "./cards.ts";
import { parseNvidia } from "./nvidia.ts";
import type { Program } from "./program.ts";

/** What is to be compiled. */
export interface Request {
  readonly shape: string;
  readonly formats: readonly WeightFormat[];
  /** Rows of the passes of several rows. */
  readonly tokens: number;
  readonly selection: Selection;
  /** Part of the names wanted. */
  readonly only: string;
  /** Of Dawn: what toggleFlags() takes. */
  readonly toggles: readonly string[];
}

/** A kernel that was compiled, and what its figures are relative to. */
export type Compiled = Pick<Subject, "name" | "tokens" | "bytes" | "bindings" | "streams">;

/** A line on standard error before the first kernel, and after the driver's output of each. */
export const MARK = "@@ ziya-webgpu compiles @@";

/** Where the parts of a Debian system lie that a process is run with, by Node's name of the machine. */
const PLACES: Readonly<Record<string, { readonly loader: string; readonly libraries: string }>> = {
  x64: { loader: "usr/lib64/ld-linux-x86-64.so.2", libraries: "usr/lib/x86_64-linux-gnu" },
  arm64: { loader: "usr/lib/ld-linux-aarch64.so.1", libraries: "usr/lib/aarch64-linux-gnu" },
};
const DRIVERS: Readonly<Record<Vendor, { readonly driver: string; readonly shim: string }>> = {
  amd: { driver: "libvulkan_radeon.so", shim: "libamdgpu_noop_drm_shim.so" },
  nvidia: { driver: "libvulkan_nouveau.so", shim: "libnouveau_noop_drm_shim.so" },
};

/** Where `npm run bench:isa -- --setup` unpacks drivers, beside what else is kept for a checkout. */
export const TREE: string = join(packageRoot, "node_modules", ".cache", "ziya-webgpu", "mesa");

/** Mesa's drivers under a root, and what a process needs to run with them whatever the machine itself has. */
export interface Laboratory {
  readonly root: string;
  readonly loader: string;
  readonly libraries: string;
  readonly driver: string;
  readonly shim: string;
}

/** The drivers of a vendor: under the root that is given, else in the unpacked tree, else the machine's own. */
export function findLaboratory(vendor: Vendor, root?: string): Laboratory | undefined {
  const places = PLACES[process.arch];
  if (!places || process.platform !== "linux") return undefined;
  for (const candidate of root === undefined ? [TREE, "/"] : [root]) {
    const libraries = join(candidate, places.libraries);
    const laboratory = {
      root: candidate,
      loader: join(candidate, places.loader),
      libraries,
      driver: join(libraries, DRIVERS[vendor].driver),
      shim: join(libraries, DRIVERS[vendor].shim),
    };
    if ([laboratory.loader, laboratory.driver, laboratory.shim].every((path) => existsSync(path))) {
      return laboratory;
    }
  }
  return undefined;
}

/** How to get drivers, for whoever has none. */
export function laboratoryAdvice(vendor: Vendor): string {
  return (
    `No ${DRIVERS[vendor].driver} with ${DRIVERS[vendor].shim} was found, the driver and what it takes for a card. ` +
    `"npm run bench:isa -- --setup" unpacks both on Debian 12 or newer, without root; elsewhere install Mesa 25 or ` +
    `newer with its drm shims (Debian: mesa-vulkan-drivers and mesa-drm-shim), or name a tree that has them by --root.`
  );
}

/** Compiles on an adapter, and pairs each kernel with what its compiler printed meanwhile. */
export async function compileOn(
  adapter: AdapterName,
  laboratory: Laboratory,
  request: Request,
): Promise<(Compiled & { readonly program: Program })[]> {
  const { vendor } = ADAPTERS[adapter];
  const script = join(packageRoot, "dist", "bench", "isa", "compile.js");
  const { stdout, stderr } = await runOn(
    adapter,
    laboratory,
    [script, JSON.stringify(request)],
    vendor === "amd" ? { RADV_DEBUG: "shaders,shaderstats,nocache" } : { NAK_DEBUG: "print" },
  );
  const compiled = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Compiled);
  const printed = stderr.split(`\n${MARK}\n`).slice(1, -1);
  return compiled.map((kernel, i) => ({ ...kernel, program: parse(vendor, kernel.name, printed[i] ?? "") }));
}

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs Node with `args` on an adapter that is not there. */
export async function runOn(
  adapter: AdapterName,
  { loader, libraries, driver, shim }: Laboratory,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<Output> {
  const { vendor, chip } = ADAPTERS[adapter];
  const folder = mkdtempSync(join(tmpdir(), "ziya-isa-"));
  try {
    const manifest = join(folder, "driver.json");
    const ICD = { library_path: driver, api_version: "1.3.0" };
    writeFileSync(manifest, JSON.stringify({ file_format_version: "1.0.0", ICD }));
    const loading = ["--library-path", libraries, "--preload", shim, process.execPath];
    return await run(loader, [...loading, ...args], folder, {
      VK_DRIVER_FILES: manifest,
      MESA_SHADER_CACHE_DISABLE: "1",
      ...(vendor === "amd"
        ? { AMDGPU_GPU_ID: chip }
        : { NOUVEAU_CHIPSET: chip, NVK_I_WANT_A_BROKEN_VULKAN_DRIVER: "1" }),
      ...variables,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a compiler prints once for each pipeline. */
const ONCE = { amd: /^\*\*\* SHADER STATS \*\*\*$/gm, nvidia: /^Stage: compute$/gm } as const;

function parse(vendor: Vendor, name: string, printed: string): Program {
  const count = printed.match(ONCE[vendor])?.length ?? 0;
  if (count !== 1) {
    throw new Error(
      `While ${name} was compiled the driver printed ${count} pipelines; wanted this one alone.`,
    );
  }
  try {
    return vendor === "amd" ? parseAmd(printed) : parseNvidia(printed);
  } catch (cause) {
    throw new Error(`${name}: ${(cause as Error).message}`, { cause });
  }
}

/** Runs a program; its output goes to files, for a compiler prints hundreds of megabytes a word at a time. */
async function run(
  program: string,
  args: readonly string[],
  folder: string,
  variables: Readonly<Record<string, string>>,
): Promise<Output> {
  const paths = { stdout: join(folder, "stdout"), stderr: join(folder, "stderr") };
  const [out, err] = [openSync(paths.stdout, "w"), openSync(paths.stderr, "w")];
  const { VK_ICD_FILENAMES: _, VK_ADD_DRIVER_FILES: __, ...environment } = process.env;
  const child = spawn(program, args, { env: { ...environment, ...variables }, stdio: ["ignore", out, err] });
  const ended = await new Promise<number | string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(code ?? signal ?? "no code"));
  });
  closeSync(out);
  closeSync(err);
  const [stdout, stderr] = [readFileSync(paths.stdout, "utf8"), readFileSync(paths.stderr, "utf8")];
  if (ended === 0) return { stdout, stderr };
  throw new Error(`The compiling process ended with ${ended}; it wrote at last:\n${stderr.slice(-2000)}`);
}
