import { spawnSync } from "node:child_process";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../../../node/host.ts";

const LEFT_OUT = ["node_modules", "dist", ".git"];

let checkout = "";
beforeAll(async () => {
  checkout = await mkdtemp(join(tmpdir(), "ziya-pack-"));
  await cp(packageRoot, checkout, { recursive: true, filter: (path) => !LEFT_OUT.includes(basename(path)) });
  await symlink(join(packageRoot, "node_modules"), join(checkout, "node_modules"), "junction");
});
afterAll(() => rm(checkout, { recursive: true }));

/** What npm would pack: `npm pack` runs both scripts, and a git dependency "prepare" alone. */
function packed(...flags: string[]): string[] {
  const { stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", ...flags], {
    cwd: checkout,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  const [{ files }] = JSON.parse(stdout.slice(stdout.indexOf("[\n")));
  return files.map(({ path }: { path: string }) => path);
}

test("a checkout that was never built is built when it is packed, or prepared as a git dependency", async () => {
  const built = ["dist/node/cli.js", "dist/node/index.d.ts", "dist/src/index.js", "types/index.d.ts"];
  expect(packed("--ignore-scripts")).not.toContain(built[0]);
  expect(packed()).toEqual(expect.arrayContaining(built));
  await rm(join(checkout, "dist"), { recursive: true });
  const prepare = spawnSync("npm", ["run", "prepare"], {
    cwd: checkout,
    shell: process.platform === "win32",
  });
  expect(prepare.status).toBe(0);
  expect(packed("--ignore-scripts")).toEqual(expect.arrayContaining(built));
});
