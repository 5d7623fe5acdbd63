import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
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

test("pages of others compile against the types as they are", async () => {
  const source = `
    import { createLanguageModel, loadEngine, openModels, StorageError, type WebEngine } from "ziya-webgpu/web";
    const controller = new AbortController();
    const engine: WebEngine = await loadEngine("models/ziya-tiny/", {
      signal: controller.signal,
      onProgress: ({ phase, done, total, rate, left }) => console.log(phase, done / total, rate, left),
      onDeviceLost: (error, recovered) => recovered.then(() => console.log(error.message)),
    });
    for await (const piece of engine.chat([{ role: "user", content: "" }], { temperature: 0 })) console.log(piece);
    const models = openModels();
    await models.convert("packed", { base: [], delta: [] }, { calibration: "text" }).catch((error) => error instanceof StorageError);
    const session = await createLanguageModel(engine).create({ initialPrompts: [{ role: "system", content: "" }] });
    export const answer: string = await session.prompt("");
    // @ts-expect-error: there is no such phase.
    void loadEngine("", { onProgress: ({ phase }) => phase === "thinking" });`;
  expect(await compile(source, { lib: ["es2023", "dom", "dom.asynciterable"], skipLibCheck: false })).toBe(
    "",
  );
});

test("a page finds the shaders in the package", async () => {
  await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  const program = 'console.log(import.meta.resolve("ziya-webgpu/shaders/matvec.wgsl"))';
  await writeFile(join(folder, "program.mjs"), program);
  const { stdout } = spawnSync(process.execPath, [join(folder, "program.mjs")], { encoding: "utf8" });
  expect(await readFile(new URL(stdout.trim()), "utf8")).toContain("fn main(");
});

test("the types are whole by themselves, whatever libraries a program has", async () => {
  const { exports } = JSON.parse(await readFile(join(packageRoot, "package.json"), "utf8"));
  for (const entry of Object.values<Record<string, string>>(exports).filter(({ types }) => types)) {
    expect(await readFile(join(packageRoot, entry.types!), "utf8")).toContain('path="./globals.d.ts"');
  }
  const source = `
    import { httpFolder, type Host, loadEngine, type OpenFile } from "ziya-webgpu";
    import { load } from "ziya-webgpu/node";
    export const open = (host: Host, files: OpenFile) => loadEngine(host, files);
    export const page = httpFolder("https://example.org/model");
    const engine = await load({ weights: "q8" });
    for await (const piece of engine.chat([])) void piece.length;`;
  for (const lib of [["es2023"], ["es2023", "webworker"], ["es2023", "dom"]]) {
    expect(await compile(source, { lib, skipLibCheck: false }), lib.join()).toBe("");
  }
  // Where the libraries have WebGPU, the names are theirs.
  const wrong = `import type { Host } from "ziya-webgpu"; export const gpu = (host: Host): number => host.gpu;`;
  expect(await compile(wrong, { lib: ["es2023", "dom"] })).toContain("Type 'GPU' is not assignable");
});

test("without Dawn everything but a device is there, and a sentence says what to install", async () => {
  const bare = join(folder, "bare", "node_modules", "ziya-webgpu");
  for (const part of ["package.json", "dist/src", "dist/node", "models/ziya-tiny"]) {
    await cp(join(packageRoot, part), join(bare, part), { recursive: true });
  }
  const jinja = join("node_modules", "@huggingface");
  await symlink(join(packageRoot, jinja), join(folder, "bare", jinja), "junction");
  const program = `
    import { load, openModel } from "ziya-webgpu/node";
    console.log(typeof (await openModel()("config.json")).size);
    await load().catch(({ name, message }) => console.log(name, message));`;
  await writeFile(join(folder, "bare", "program.mjs"), program);
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, "bare", "program.mjs")], {
    encoding: "utf8",
  });
  expect(stdout, stderr).toBe(
    'number\nDeviceError The package "webgpu" is not installed, which brings WebGPU to Node; run "npm install webgpu" beside ziya-webgpu.\n',
  );
});

test("whatever the package's own pages link to is in it", async () => {
  const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: packageRoot,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  const packed: string[] = JSON.parse(stdout)[0].files.map(({ path }: { path: string }) => path);
  const pages = packed.filter((path) => path.endsWith(".md"));
  expect(pages).toContain("README.md");
  let links = 0;
  for (const page of pages) {
    const text = await readFile(join(packageRoot, page), "utf8");
    for (const [, link = ""] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      const target = normalize(join(dirname(page), link))
        .replaceAll("\\", "/")
        .replace(/\/$/, "");
      const found = packed.some((path) => path === target || path.startsWith(`${target}/`));
      expect(found, `${page} links to ${link}`).toBe(true);
      links++;
    }
  }
  expect(links).toBeGreaterThan(8);
});
