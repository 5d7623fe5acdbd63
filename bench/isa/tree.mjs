// Unpacks Mesa's newest drivers, its drm shims and the libraries that they need into a folder, from Debian's packages:
// nothing is installed, and it needs no root. Plain JavaScript, for it works on the set-up's own reader of apt sources.
//
//   node bench/isa/tree.mjs DIR

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { backportsSource, codename, readSources } from "../../node/setup/apt.mjs";
import { readOrEmpty } from "../../node/setup/files.mjs";
import { lastLines, SetupError, say } from "../../node/setup/report.mjs";

/** Whose Mesa has NVK as well as RADV, and both shims. */
const RELEASE = "trixie";
const PACKAGES = ["mesa-vulkan-drivers", "mesa-drm-shim", "libvulkan1"];

/** @param {string} tree the folder; what it had is replaced when everything is there */
function unpack(tree) {
  const release = codename(readOrEmpty("/etc/os-release"));
  const source = backportsSource(readSources(), release);
  if (!source) {
    throw new SetupError(
      `No apt source of Debian's "${release || "(no release)"} main" was found to fetch ${RELEASE}'s Mesa by; run it on Debian 12 or newer, or name a tree by --root.`,
    );
  }
  const room = `${tree}.partial`;
  const apt = join(room, "apt");
  rmSync(room, { recursive: true, force: true });
  for (const folder of ["lists/partial", "archives/partial", "tree"])
    mkdirSync(join(apt, folder), { recursive: true });
  const suites = [RELEASE, `${RELEASE}-backports`];
  const sources = join(apt, `sources${source.suffix}`);
  writeFileSync(
    sources,
    suites.map((suite) => source.text.replaceAll(`${release}-backports`, suite)).join("\n"),
  );
  writeFileSync(join(apt, "status"), "");
  // A package manager of its own, that knows of no installed package: what it would install is everything needed.
  const options = {
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "-",
    "Dir::State::status": join(apt, "status"),
    "Dir::State::lists": join(apt, "lists"),
    "Dir::Cache::archives": join(apt, "archives"),
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "APT::Sandbox::User": "root",
  };
  const settings = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  run("apt-get", [...settings, "update"]);
  run("apt-get", [
    ...settings,
    ...["--yes", "--download-only", "--no-install-recommends", "-t", `${RELEASE}-backports`, "install"],
    ...PACKAGES,
  ]);
  const archives = join(apt, "archives");
  for (const name of readdirSync(archives)) {
    if (name.endsWith(".deb")) run("dpkg-deb", ["--extract", join(archives, name), join(apt, "tree")]);
  }
  rmSync(tree, { recursive: true, force: true });
  renameSync(join(apt, "tree"), tree);
  rmSync(room, { recursive: true });
}

/**
 * @param {string} program
 * @param {string[]} args
 */
function run(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
    maxBuffer: 1 << 26,
  });
  if (status === 0) return;
  throw new SetupError(
    `"${program} ${args.at(-1)}" failed; its last lines were:\n${error?.message ?? lastLines(stdout + stderr)}`,
  );
}

try {
  const tree = process.argv[2];
  if (!tree) throw new SetupError("node bench/isa/tree.mjs wants the folder to unpack into.");
  unpack(tree);
  say(`Mesa's drivers and shims lie in ${tree}`);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`set-up: ${error.message}\n`);
  process.exitCode = 1;
}
