import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, posix, relative, sep } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../node/commands/main.ts";
import { packageRoot } from "../node/host.ts";
import { fakeIo } from "./support/io.ts";

const ROOMS = [
  "src",
  "node",
  "web",
  "shaders",
  "test",
  "fixtures",
  "bench",
  "docs",
  "examples",
  "models",
  "types",
  ".ci",
];
const PAGES = [
  "README.md",
  "MODEL.md",
  "bench/README.md",
  "examples/README.md",
  ...list("docs").filter((path) => /\.md$/.test(path)),
];
const { scripts } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"));

/** The files and folders below a room, by their paths from the root. */
function list(room: string): string[] {
  return readdirSync(join(packageRoot, room), { recursive: true, withFileTypes: true })
    .map((entry) => relative(packageRoot, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !path.includes("node_modules/"));
}

const known = [
  ...ROOMS.flatMap((room) => [room, ...list(room)]),
  ...readdirSync(packageRoot).filter((name) => /\.(md|json|ts)$/.test(name)),
];

/**
 * What a page names and is not there: paths that begin with a room, `*` in them for any name; links; code by a bare name,
 * which is beside the page unless it is transformers'; and npm's scripts.
 */
function missing(page: string, text: string): string[] {
  const prose = text.replace(/```(ts|wgsl|diff)\n[\s\S]*?```/g, "");
  const rooms = ROOMS.map((room) => room.replace(".", "\\.")).join("|");
  const paths = [...prose.matchAll(new RegExp(`(?<![\\w./-])(?:${rooms})/[\\w./*-]*`, "g"))].map(
    ([path]) => path,
  );
  const links = [...prose.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link]) => {
    return posix.join(posix.dirname(page), link!);
  });
  const beside = [...prose.matchAll(/(?<!transformers'\s)`([\w-]+\.(?:ts|mjs|py|wgsl))`/g)].map(
    ([, name]) => {
      return posix.join(posix.dirname(page), name!);
    },
  );
  const isKnown = (path: string) => {
    const pattern = path
      .replace(/[./]+$/, "")
      .replaceAll(".", "\\.")
      .replaceAll("*", "[^/]*");
    return known.some((file) => new RegExp(`^${pattern}$`).test(file));
  };
  const commands = [...prose.matchAll(/npm run (?:--\w+ )?([\w:]+)/g)].map(([, name]) => name!);
  return [
    ...[...paths, ...links, ...beside].filter((path) => !isKnown(path)),
    ...commands.filter((name) => !(name in scripts)).map((name) => `npm run ${name}`),
  ];
}

describe("the pages", () => {
  test.each(PAGES)("%s names files and commands that there are", async (page) => {
    expect(missing(page, await readFile(join(packageRoot, page), "utf8"))).toEqual([]);
  });

  test.each([
    ["README.md", "see `src/model/none.ts`.", "src/model/none.ts"],
    ["README.md", "shaders/nothing_*.wgsl", "shaders/nothing_*.wgsl"],
    ["docs/design.md", "[the table](../src/nowhere.ts)", "src/nowhere.ts"],
    ["docs/design.md", "[beside it](nowhere.md#there)", "docs/nowhere.md"],
    ["bench/README.md", "in `nowhere.py`", "bench/nowhere.py"],
    ["bench/README.md", "`npm run nothing`", "npm run nothing"],
  ])("%s may not say: %s", (page, text, wrong) => {
    expect(missing(page, text)).toEqual([wrong]);
  });

  test("ask of a command what its help has", async () => {
    let flags = 0;
    for (const page of PAGES) {
      const text = await readFile(join(packageRoot, page), "utf8");
      for (const [, command = "", rest = ""] of text.matchAll(/\bziya ([a-z]+)([^`#|\n]*)/g)) {
        const used = rest.match(/--[a-z][\w-]*/g) ?? [];
        if (used.length === 0) continue;
        const io = fakeIo();
        await main([command, "--help"], io);
        for (const flag of used) expect(io.out(), `${page}: ziya ${command}`).toContain(`${flag} `);
        flags += used.length;
      }
    }
    expect(flags).toBeGreaterThan(8);
  });

  test("where is what takes ten lines at most, each with a file", async () => {
    const text = await readFile(join(packageRoot, "docs/design.md"), "utf8");
    const [, section = ""] = /## Where is what\n([\s\S]*?)(?=\n## |$)/.exec(text) ?? [];
    const lines = section.split("\n").filter((line) => /^\| (?!---|where)/.test(line));
    expect(lines.length).toBeGreaterThan(5);
    expect(lines.length).toBeLessThanOrEqual(10);
    for (const line of lines) expect(line).toMatch(/`(src|node|web)\/[\w./-]+\.ts`/);
  });
});

/** A block of docs/extending.md: a whole file, or lines for one. */
interface Block {
  readonly language: string;
  readonly path: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/```(ts|wgsl|diff)\n(?:\/\/|---) (\S+)\n([\s\S]*?)```/g)].map(
    ([, language, path, text]) => ({ language: language!, path: path!, text: text! }),
  );
}

/** A file with the lines of a diff: its other lines have to be there, together and once. */
function patch(file: string, { path, text }: Block): string {
  const lines = text.trimEnd().split("\n");
  const side = (sign: string) =>
    lines.flatMap((line) => (line[0] === sign || line[0] === " " ? [line.slice(1)] : [])).join("\n");
  const parts = file.split(`${side("-")}\n`);
  if (parts.length !== 2) throw new Error(`${path} has this ${parts.length - 1} times:\n${side("-")}`);
  return parts.join(`${side("+")}\n`);
}

/** Of the report of vitest. */
interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

describe("the examples of docs/extending.md", () => {
  let copy = "";
  let blocks: Block[] = [];
  beforeAll(async () => {
    blocks = blocksOf(await readFile(join(packageRoot, "docs/extending.md"), "utf8"));
    copy = await mkdtemp(join(tmpdir(), "ziya-examples-"));
    const parts = [
      "src",
      "node",
      "web",
      "shaders",
      "fixtures",
      "test/support",
      "test/oracle",
      "package.json",
      "tsconfig.json",
    ];
    for (const part of parts) await cp(join(packageRoot, part), join(copy, part), { recursive: true });
    await symlink(join(packageRoot, "node_modules"), join(copy, "node_modules"), "junction");
    for (const block of blocks) {
      const file = join(copy, block.path);
      await mkdir(dirname(file), { recursive: true });
      const text = block.language === "diff" ? patch(await readFile(file, "utf8"), block) : block.text;
      await writeFile(file, text);
    }
  });
  afterAll(() => rm(copy, { recursive: true }));

  /** What a program of node_modules prints, and the error where it ends with one. */
  const run = (program: string, ...args: string[]) =>
    new Promise<{ error: Error | null; stdout: string; stderr: string }>((resolve) => {
      const path = join(packageRoot, "node_modules", program);
      execFile(process.execPath, [path, ...args], { cwd: copy }, (error, stdout, stderr) =>
        resolve({ error, stdout, stderr }),
      );
    });

  test.concurrent("compile", async () => {
    const config = { extends: "./tsconfig.json", include: ["src", "node", "test"] };
    await writeFile(join(copy, "tsconfig.examples.json"), JSON.stringify(config));
    expect(await run("typescript/bin/tsc", "-p", "tsconfig.examples.json")).toEqual({
      error: null,
      stdout: "",
      stderr: "",
    });
  });

  test.concurrent("pass their own tests", async () => {
    const files = blocks.map(({ path }) => path).filter((path) => path.endsWith(".test.ts"));
    expect(files.length).toBe(4);
    const { stdout, stderr } = await run(
      "vitest/vitest.mjs",
      "run",
      "--root",
      copy,
      "--no-isolate",
      "--no-file-parallelism",
      "--reporter=json",
      ...files,
    );
    const { testResults }: Report = JSON.parse(stdout.slice(stdout.indexOf("{")));
    expect(testResults.length, stderr).toBe(files.length);
    const failures = testResults.flatMap(({ message, assertionResults }) => [
      ...(message === "" ? [] : [message]),
      ...assertionResults.flatMap(({ failureMessages }) => failureMessages),
    ]);
    expect(failures).toEqual([]);
    for (const { assertionResults } of testResults) {
      expect(new Set(assertionResults.map(({ status }) => status))).toEqual(new Set(["passed"]));
    }
  });
});
