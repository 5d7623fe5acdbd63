import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Rooms by rank: a file imports from its own room and from rooms of a lower rank, never upward or sideways. */
const RANKS: Readonly<Record<string, number>> = {
  "src/errors.ts": 0,
  "src/f16.ts": 0,
  "src/host.ts": 0,
  "src/show.ts": 0,
  "src/stored.ts": 0,
  "src/utf8.ts": 0,
  "src/version.ts": 0,
  "src/failure.ts": 1,
  "src/gpu": 1,
  "src/quantize": 1,
  "src/checkpoint": 1,
  "src/kernels": 2,
  "src/model": 3,
  "src/tokenizer": 3,
  "src/generate": 4,
  "src/server": 5,
  "src/benchmark": 5,
  // Writing is above all of reading, loading and answering, which get by without it.
  "src/convert": 5,
  "src/index.ts": 6,
  "node/setup": 6,
  node: 7,
  // What the rooms of the browser's half and the page agree on.
  "web/api.ts": 7,
  "web/prompt": 8,
  "web/store": 8,
  "web/convert": 9,
  web: 10,
  "web/page": 11,
  fixtures: 10,
  "fixtures/peers": 11,
  bench: 12,
  "bench/peers": 13,
};

/** The packages that a room may import; a room that is not here may import none. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  "src/generate": /^@huggingface\/jinja$/,
  "node/setup": /^(node:|esbuild$|webgpu$)/,
  node: /^(node:|webgpu$)/,
  "web/store": /^@noble\/hashes\/sha2\.js$/,
  "web/page": /^(marked|dompurify)$/,
  bench: /^(node:|webgpu$|llama-tokenizer-js$|playwright-core$)/,
  "bench/peers": /^(node:|node-llama-cpp$|koffi$)/,
  fixtures: /^(node:|llama-tokenizer-js$)/,
  "fixtures/peers": /^node:/,
};

/** The room of a path relative to the root, or undefined when the design has none for it. */
function roomOf(path: string): string | undefined {
  const [top = "", second = ""] = path.split("/");
  return [`${top}/${second}`, top].find((room) => room in RANKS);
}

/** The module names in `text`, static and dynamic, of imports and re-exports, types included. */
function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/\b(?:from|import)\b\s*\(?\s*["']([^"'\s]+)["']/g)].map(([, name]) => name!);
}

/** The path that each import of a file of ours leads to, by the file's path; other folders' are left out. */
function graphOf(texts: ReadonlyMap<string, string>): Map<string, string[]> {
  const targets = (path: string, text: string) =>
    importsOf(text).map((name) => posix.join(posix.dirname(path), name));
  return new Map(
    [...texts].map(([path, text]) => [path, targets(path, text).filter((target) => texts.has(target))]),
  );
}

/** The first circle that the imports of files make, from a file to itself; undefined where there is none. */
function circleIn(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const from = (path: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(path)) return [...way.slice(way.indexOf(path)), path];
    if (done.has(path)) return undefined;
    done.add(path);
    for (const target of graph.get(path) ?? []) {
      const circle = from(target, [...way, path]);
      if (circle) return circle;
    }
    return undefined;
  };
  for (const path of graph.keys()) {
    const circle = from(path, []);
    if (circle) return circle;
  }
  return undefined;
}

/** Names that a file exports by their declaration. */
function exportsOf(text: string): string[] {
  const declared = /^export (?:abstract |async )?(?:class|interface|type|const|function\*?) (\w+)/gm;
  return [...text.matchAll(declared)].map(([, name]) => name!);
}

/** Exports of `paths` whose name no other file has. */
function unusedExports(paths: readonly string[], texts: ReadonlyMap<string, string>): string[] {
  const words = new Map([...texts].map(([path, text]) => [path, new Set(text.match(/\w+/g))]));
  const isUsed = (path: string, name: string) =>
    [...words].some(([other, found]) => other !== path && found.has(name));
  return paths.flatMap((path) =>
    exportsOf(texts.get(path)!)
      .filter((name) => !isUsed(path, name))
      .map((name) => `${path} exports ${name}`),
  );
}

/** Whether one is of Node's half and the other of the browser's. */
function areHosts(...rooms: string[]): boolean {
  return ["node", "web"].every((host) => rooms.some((room) => room.split("/")[0] === host));
}

/** What is wrong with the imports of the file at `path` (relative to the root), one sentence each. */
function violations(path: string, text: string): string[] {
  const room = roomOf(path);
  if (room === undefined) return [`${path} is in no room of the design.`];
  return importsOf(text).flatMap((name) => {
    if (!name.startsWith(".")) {
      return PACKAGES[room]?.test(name)
        ? []
        : [`${path} imports the package ${name}, which ${room} may not.`];
    }
    const target = posix.join(posix.dirname(path), name);
    const targetRoom = roomOf(target);
    if (targetRoom === undefined) return [`${path} imports ${target}, which is in no room of the design.`];
    const apart = areHosts(room, targetRoom);
    if (targetRoom === room || (RANKS[targetRoom]! < RANKS[room]! && !apart)) return [];
    const direction = RANKS[targetRoom]! > RANKS[room]! ? "upward" : "sideways";
    return [`${path} imports ${direction}: ${target}.`];
  });
}

/** Every source file of a folder, relative to the root, with forward slashes. */
function sourcesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !/(^|\/)(node_modules|dist)\//.test(path));
}

describe("import direction", () => {
  test("no file imports upward or sideways, or a package that its room may not", () => {
    const sources = ["src", "node", "web", "bench", "fixtures"].flatMap(sourcesOf);
    expect(sources).toContain("src/gpu/device.ts");
    expect(sources.flatMap((path) => violations(path, readFileSync(join(root, path), "utf8")))).toEqual([]);
  });

  test.each([
    ["src/kernels/a.ts", 'import { b } from "../model/b.ts";', "upward: src/model/b.ts"],
    ["src/checkpoint/a.ts", 'import type { B } from "../quantize/b.ts";', "sideways: src/quantize/b.ts"],
    ["src/model/a.ts", 'export * from "../tokenizer/b.ts";', "sideways: src/tokenizer/b.ts"],
    ["src/generate/a.ts", 'import "../index.ts";', "upward: src/index.ts"],
    ["src/checkpoint/a.ts", 'import type { B } from "../convert/b.ts";', "upward: src/convert/b.ts"],
    ["src/model/a.ts", 'import { b } from "../convert/b.ts";', "upward: src/convert/b.ts"],
    ["src/generate/a.ts", 'export { b } from "../convert/b.ts";', "upward: src/convert/b.ts"],
    ["src/errors.ts", 'const b = await import("./host.ts");', "sideways: src/host.ts"],
    ["web/a.ts", 'import {\n  b,\n} from "../node/b.ts";', "sideways: node/b.ts"],
    ["node/a.ts", 'import { b } from "../web/store/b.ts";', "upward: web/store/b.ts"],
    ["web/store/a.ts", 'import { b } from "../b.ts";', "upward: web/b.ts"],
    ["src/model/a.ts", 'import { b } from "node:fs";', "the package node:fs"],
    ["src/model/a.ts", 'import { b } from "@huggingface/jinja";', "the package @huggingface/jinja"],
    ["src/model/a.ts", 'import { b } from "../../elsewhere/b.ts";', "in no room"],
  ])("%s may not hold: %s", (path, text, reason) => {
    expect(violations(path, text).join()).toContain(reason);
  });

  test.each([
    ["src/model/a.ts", 'import { b } from "../kernels/b.ts";\nimport { c } from "./c.ts";'],
    ["src/index.ts", 'export { b } from "./generate/b.ts";'],
    ["src/generate/a.ts", 'import { Template } from "@huggingface/jinja";'],
    ["node/a.ts", 'import { create } from "webgpu";\nimport { b } from "../src/index.ts";'],
    ["src/tokenizer/a.ts", 'const stamp = "built-from";\nsay("b");'],
    ["src/tokenizer/a.ts", '/* import "../model/b.ts" */\n// import "node:fs"\n'],
  ])("%s may hold: %s", (path, text) => {
    expect(violations(path, text)).toEqual([]);
  });
});

const textsOf = (paths: readonly string[]) =>
  new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));

describe("what the sources are held to", () => {
  const sources = ["src", "node"].flatMap(sourcesOf);

  test("no imports make a circle, also not of types", () => {
    expect(circleIn(graphOf(textsOf([...sources, ...sourcesOf("web")])))).toBeUndefined();
    const made = new Map([
      ["src/a.ts", 'import { b } from "./b.ts";\nimport "./d.ts";'],
      ["src/b.ts", 'import type { C } from "./c/c.ts";'],
      ["src/c/c.ts", 'export * from "../b.ts";'],
      ["src/d.ts", ""],
    ]);
    expect(circleIn(graphOf(made))).toEqual(["src/b.ts", "src/c/c.ts", "src/b.ts"]);
    made.set("src/c/c.ts", 'import "../d.ts";');
    expect(circleIn(graphOf(made))).toBeUndefined();
  });

  test("no file of src/, node/ and web/ has more than 300 lines", () => {
    const lines = [...sources, ...sourcesOf("web")].map((path) => ({
      path,
      lines: readFileSync(join(root, path), "utf8").split("\n").length - 1,
    }));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((file) => file.lines > 300)).toEqual([]);
  });

  test("nothing is exported that no other file names", () => {
    const others = ["bench", "fixtures", "test"].flatMap(sourcesOf);
    const all = [...sources, ...sourcesOf("web")];
    // What node/index.ts declares is the package's own, whoever names it, and so is what web/api.ts does.
    const own = all.filter((path) => !["node/index.ts", "web/api.ts"].includes(path));
    expect(unusedExports(own, textsOf([...all, ...others]))).toEqual([]);
    const made = new Map([
      ["a.ts", "export const used = 1;\nexport interface Unused {}\nexport async function lost() {}"],
      ["b.ts", 'import { used } from "./a.ts";'],
    ]);
    expect(unusedExports(["a.ts"], made)).toEqual(["a.ts exports Unused", "a.ts exports lost"]);
  });
});
