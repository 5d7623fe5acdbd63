import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { ensurePeers, run } from "../fixtures/peers/install.ts";
import { packageRoot } from "../node/host.ts";
import { showBytes } from "../src/show.ts";

const HELP = `Usage: npm run bench:bundle -- [options]

Makes a folder that runs the benchmarks and the comparison with llama.cpp on a Linux machine (x64) that has a GPU driver
but neither Node nor a network: "bash start.sh" there. It needs glibc as new as this machine's programs do.

  --dir DIR        the folder, made anew (default .gpu)
  --level N        of xz, 0 to 9 (default 1)
  --with-model     ziya-tiny too, for "bash start.sh node dist/node/cli.js chat"
  --with-source    llama.cpp's source too, to build it with CUDA there: bench/peers/README.md
`;

/** Bytes that the folder may have: copies to a machine without a network are bounded, where they go with a checkout. */
const LIMIT = 60e6;

const LLAMA = "bench/peers/node_modules/@node-llama-cpp/linux-x64-vulkan";
const KOFFI = "bench/peers/node_modules/koffi";
const SOURCE = "bench/peers/node_modules/node-llama-cpp/llama/gitRelease.bundle";

/** What is packed, by path from the package's root; of a folder everything that `LEFT_OUT` does not name. */
const PATHS = [
  "package.json",
  ...["dist/src", "dist/node", "dist/bench", "dist/fixtures", "shaders"],
  ...["node_modules/webgpu/package.json", "node_modules/webgpu/index.js", "node_modules/webgpu/LICENSE.md"],
  "node_modules/webgpu/dist/linux-x64",
  ...["node_modules/@huggingface/jinja/package.json", "node_modules/@huggingface/jinja/dist"],
  ...["bench/peers/package.json", "bench/peers/llama-speed.mjs"],
  ...["package.json", "LICENSE.txt", "index.js", "src/koffi"].map((path) => `${KOFFI}/${path}`),
  ...["package.json", "index.js", "linux_x64"].map(
    (path) => `bench/peers/node_modules/@koromix/koffi-linux-x64/${path}`,
  ),
  ...[`${LLAMA}/package.json`, `${LLAMA}/bins`],
];

/** Of llama.cpp what only its command line and node-llama-cpp call; declarations, maps and sources in C++. */
const LEFT_OUT = /\/(llama-addon\.node|libllama-common\.so)$|\.d\.[cm]?ts$|\.(map|cc|hh|cpp|S|asm)$/;

/** Libraries that a machine may lack. Its own are taken where it has them. */
const LIBRARIES = ["libvulkan.so.1", "libstdc++.so.6", "libgcc_s.so.1"];

/** The parts of llama.cpp's source that its library is built from. */
const SOURCE_PATHS = [
  "CMakeLists.txt",
  "LICENSE",
  "cmake",
  "ggml",
  "include",
  "src",
  "scripts/build-info.sh",
];

/** Copies what is packed to an empty folder. */
function stage(folder: string, paths: readonly string[], source: boolean): void {
  for (const path of paths) {
    const from = join(packageRoot, path);
    if (!existsSync(from)) throw new Error(`${path} is missing; the bundle needs it.`);
    cpSync(from, join(folder, path), { recursive: true, filter: (file) => !LEFT_OUT.test(file) });
  }
  const node = join(folder, "node");
  cpSync(process.execPath, node, { dereference: true });
  chmodSync(node, 0o755);
  try {
    run("strip", [node]);
  } catch {
    console.log("Node is packed with its symbols: there is no strip here.");
  }
  mkdirSync(join(folder, "lib"));
  for (const name of LIBRARIES) {
    const found = ["/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
      .map((place) => join(place, name))
      .find((file) => existsSync(file));
    if (found === undefined) console.log(`${name} is not on this machine: that one must have it.`);
    else cpSync(found, join(folder, "lib", name), { dereference: true });
  }
  if (source) unpackSource(join(folder, "llama.cpp"));
}

/** The source of llama.cpp that node-llama-cpp brings, as far as the library needs it. */
function unpackSource(folder: string): void {
  const bundle = join(packageRoot, SOURCE);
  if (!existsSync(bundle)) throw new Error(`${SOURCE} is missing; run "npm run compare" once.`);
  const clone = mkdtempSync(join(tmpdir(), "llama-source-"));
  try {
    run("git", ["clone", "--quiet", "--no-checkout", bundle, clone]);
    const tar = `${clone}.tar`;
    run("git", ["-C", clone, "archive", "--output", tar, "HEAD", ...SOURCE_PATHS]);
    mkdirSync(folder);
    run("tar", ["-xf", tar, "-C", folder]);
    rmSync(tar);
  } finally {
    rmSync(clone, { recursive: true });
  }
}

/** Starts every program as far as it gets without an adapter, with nothing but what was packed: a missing file shows here. */
function tryPrograms(folder: string): void {
  const node = join(folder, "node");
  for (const program of ["dist/node/cli.js", "dist/bench/main.js", "dist/bench/peers/speed.js"]) {
    run(node, [join(folder, program), "--help"]);
  }
  run(node, ["--input-type=module", "-e", `import ${JSON.stringify(join(folder, KOFFI, "index.js"))}`]);
}

function sizeOf(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

function main(): void {
  const { values } = parseArgs({
    options: {
      dir: { type: "string", default: ".gpu" },
      level: { type: "string", default: "1" },
      "with-model": { type: "boolean", default: false },
      "with-source": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const { dir, level } = values;
  if (!/^[0-9]$/.test(level)) throw new Error(`--level is "${level}"; wanted 0 to 9.`);
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`The bundle is for Linux on x64, and is made there; this is ${process.platform}.`);
  }
  // A folder of somebody's own is not deleted.
  if (existsSync(dir) && !existsSync(join(dir, "app.tar.xz")) && readdirSync(dir).length > 0) {
    throw new Error(`${dir} is there and is no bundle: name another folder by --dir.`);
  }
  ensurePeers();
  const staged = mkdtempSync(join(tmpdir(), "ziya-bundle-"));
  try {
    const paths = [...PATHS, ...(values["with-model"] ? ["models/ziya-tiny"] : [])];
    stage(staged, paths, values["with-source"]);
    tryPrograms(staged);
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    const archive = join(dir, "app.tar.xz");
    run("tar", ["-I", `xz -T0 -${level}`, "-C", staged, "-cf", archive, "."]);
    const id = createHash("sha256").update(readFileSync(archive)).digest("hex");
    writeFileSync(join(dir, "id"), `${id}\n`);
    cpSync(join(packageRoot, "bench", "bundle", "start.sh"), join(dir, "start.sh"));
  } finally {
    rmSync(staged, { recursive: true });
  }
  const size = sizeOf(dir);
  console.log(`${dir}: ${showBytes(size)}. On the other machine: bash ${basename(dir)}/start.sh`);
  if (size > LIMIT) throw new Error(`The bundle has ${size} bytes; wanted at most ${LIMIT}.`);
}

try {
  main();
} catch (error) {
  console.error(`bench:bundle: ${(error as Error).message}`);
  process.exitCode = 1;
}
