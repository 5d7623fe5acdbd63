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
  "src/stored.ts": 0,
  "src/gpu": 1,
  "src/quantize": 1,
  "src/checkpoint": 1,
  "src/kernels": 2,
  "src/convert": 2,
  "src/model": 3,
  "src/tokenizer": 3,
  "src/generate": 4,
  "src/server": 5,
  "src/index.ts": 6,
  node: 7,
  web: 7,
  fixtures: 8,
  "fixtures/peers": 9,
  bench: 10,
  "bench/peers": 11,
};

/** The packages that a room may import; a room that is not here may import none. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  "src/generate": /^@huggingface\/jinja$/,
  node: /^(node:|webgpu$)/,
  bench: /^(node:|webgpu$|llama-tokenizer-js$)/,
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
    if (targetRoom === room || RANKS[targetRoom]! < RANKS[room]!) return [];
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
    ["src/errors.ts", 'const b = await import("./host.ts");', "sideways: src/host.ts"],
    ["web/a.ts", 'import {\n  b,\n} from "../node/b.ts";', "sideways: node/b.ts"],
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
