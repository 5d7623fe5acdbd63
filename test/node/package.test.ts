import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../../node/host.ts";

const COMPILER = join(packageRoot, "node_modules", "typescript", "bin", "tsc");
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-package-"));
  await mkdir(join(folder, "node_modules"));
  await symlink(packageRoot, join(folder, "node_modules", "ziya-webgpu"), "junction");
});
afterAll(() => rm(folder, { recursive: true }));

/** What the compiler says of a program in the folder. */
async function compile(source: string, options: object): Promise<string> {
  const compilerOptions = { strict: true, module: "nodenext", target: "es2023", noEmit: true, types: [] };
  const config = { compilerOptions: { ...compilerOptions, ...options }, include: ["program.ts"] };
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  await writeFile(join(folder, "program.ts"), source);
  return spawnSync(process.execPath, [COMPILER, "-p", folder], { encoding: "utf8" }).stdout;
}

test("programs of others compile against the types as they are", async () => {
  const source = `
    import { type Host, httpFolder, type Importance, loadEngine, type OpenFile } from "ziya-webgpu";
    import { load } from "ziya-webgpu/node";
    const engine = await load({ weights: "q8" });
    for await (const piece of engine.chat([{ role: "user", content: "" }])) console.log(piece);
    const host: Host = { gpu: navigator.gpu, readShader: async (name) => name };
    export const open = (files: OpenFile, importance: Importance) => loadEngine(host, files, { importance });
    export const page = open(httpFolder("https://example.org/model"), new Map());`;
  expect(await compile(source, {})).toBe("");
});

test("a page finds the shaders in the package", async () => {
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  const program = 'console.log(import.meta.resolve("ziya-webgpu/shaders/matvec.wgsl"))';
  await writeFile(join(folder, "program.mjs"), program);
  const { stdout } = spawnSync(process.execPath, [join(folder, "program.mjs")], { encoding: "utf8" });
  expect(await readFile(new URL(stdout.trim()), "utf8")).toContain("fn main(");
});

test("TypeScript below 6 is given WebGPU's types, which it has not itself", async () => {
  const { exports, dependencies } = JSON.parse(await readFile(join(packageRoot, "package.json"), "utf8"));
  expect(Object.keys(dependencies)).toContain("@webgpu/types");
  for (const entry of [".", "./node"].map((name): Record<string, string> => exports[name])) {
    expect(Object.keys(entry)[0]).toBe("types@<6");
    // A library without WebGPU, as the older ones are.
    const source = `
      import type { Engine } from "./node_modules/ziya-webgpu/${entry["types@<6"]}";
      export const lose = (gpu: GPU, engine: Engine) => [gpu.requestAdapter(), engine.destroy()];`;
    expect(await compile(source, { lib: ["es2023"], skipLibCheck: true })).toBe("");
  }
});
