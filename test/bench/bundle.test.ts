import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../node/host.ts";

const folder = mkdtempSync(join(tmpdir(), "ziya-start-"));
const script = join(folder, "start.sh");
cpSync(join(packageRoot, "bench", "bundle", "start.sh"), script);
afterAll(() => rmSync(folder, { recursive: true }));

function start(...args: string[]) {
  const { status, stderr } = spawnSync("bash", [script, ...args], { encoding: "utf8" });
  return { status, stderr };
}

describe.skipIf(process.platform !== "linux")("start.sh", () => {
  test.each([
    [["--layers", "all"], 'start.sh: --layers is "all"; wanted a whole number.'],
    [["--layers"], 'start.sh: --layers is ""; wanted a whole number.'],
    [["doctor"], 'start.sh: there is no argument "doctor"; there are --layers N and node FILE.'],
    [["--layers", "2", "kernels"], 'there is no argument "kernels"'],
  ])("%j is refused before anything is unpacked", (args, message) => {
    const { status, stderr } = start(...args);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(readdirSync(folder)).toEqual(["start.sh"]);
  });

  test("a folder without its archive is told of, and not taken for unpacked", () => {
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toContain("app.tar.xz cannot be unpacked");
    expect(start().stderr).toContain("app.tar.xz cannot be unpacked");
  });
});
