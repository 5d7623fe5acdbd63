import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readOrEmpty } from "./files.mjs";
import { lastLines, SetupError, say } from "./report.mjs";

const DRIVER = "mesa-vulkan-drivers";
const LOADER = "libvulkan1";
const APT_FOLDER = "/etc/apt";

/** Dawn finds no adapter with lavapipe of Mesa 22.3 (Debian 12); it does with 23 and later. */
const OLDEST_MESA = 23;

/** Whether this is Debian or Ubuntu, or made from them. */
export function isAptSystem() {
  return process.platform === "linux" && existsSync("/usr/bin/apt-get");
}

/**
 * Installs lavapipe, from backports where the release's own is too old for Dawn. Needs root.
 * @throws {SetupError} when apt-get cannot
 */
export function installSoftwareVulkan() {
  updateLists();
  const own = mesaVersion(aptCache(["policy", DRIVER]));
  if (own >= OLDEST_MESA) {
    install([DRIVER, LOADER]);
    return;
  }
  const release = codename(readOrEmpty("/etc/os-release"));
  const backports = `${release}-backports`;
  if (!aptCache(["policy"]).includes(`,n=${backports},`)) {
    const source = backportsSource(readSources(), release);
    if (!source) {
      throw new SetupError(
        `The release's Mesa is ${own || "missing"}, Dawn needs ${OLDEST_MESA}, and no apt source of "${release} main" was found to derive ${backports} from; add it and start again.`,
      );
    }
    const file = join(APT_FOLDER, "sources.list.d", `${backports}${source.suffix}`);
    say(`Mesa ${own} is too old for Dawn; adding ${file}`);
    writeFileSync(file, source.text);
    updateLists();
  }
  // The driver alone is named from backports: with "-t" apt would take everything it needs from there as well, and
  // packages of the release that want their own versions of those could not be installed any more.
  install([`${DRIVER}/${backports}`, LOADER]);
}

/**
 * @typedef {{ name: string, text: string }} SourceFile
 */

/**
 * The apt source of a release's backports, derived from the one of the release itself, so that the same mirror,
 * proxy and key serve both.
 * @param {readonly SourceFile[]} files in the order of preference
 * @param {string} release such as "bookworm"
 * @returns {{ suffix: ".sources" | ".list", text: string } | undefined}
 */
export function backportsSource(files, release) {
  for (const { name, text } of files) {
    const derived = name.endsWith(".sources") ? fromStanzas(text, release) : fromLines(text, release);
    if (derived) return derived;
  }
  return undefined;
}

/**
 * deb822: stanzas of "Field: value" lines, continued by indented lines, separated by empty lines.
 * @param {string} text
 * @param {string} release
 */
function fromStanzas(text, release) {
  for (const stanza of text.split(/\n[ \t]*(?:\n[ \t]*)+/)) {
    /** @type {[string, string][]} */
    const fields = [];
    for (const line of stanza.split("\n")) {
      const field = /^([A-Za-z-]+):(.*)$/.exec(line);
      const last = fields.at(-1);
      if (field) fields.push([field[1] ?? "", (field[2] ?? "").trim()]);
      else if (/^[ \t]/.test(line) && last) last[1] += `\n${line}`;
    }
    /** @param {string} name */
    const words = (name) =>
      fields
        .find(([field]) => field.toLowerCase() === name)?.[1]
        .split(/\s+/)
        .filter(Boolean) ?? [];
    if (!words("types").includes("deb") || !words("suites").includes(release)) continue;
    if (!words("components").includes("main") || words("enabled").join() === "no") continue;
    /** @type {Record<string, string>} */
    const replaced = { types: "deb", suites: `${release}-backports`, components: "main" };
    const lines = fields.map(([field, value]) => {
      const text = replaced[field.toLowerCase()] ?? value;
      return text.startsWith("\n") ? `${field}:${text}` : `${field}: ${text}`;
    });
    return { suffix: /** @type {const} */ (".sources"), text: `${lines.join("\n")}\n` };
  }
  return undefined;
}

/**
 * One line each: deb [options] URI suite components...
 * @param {string} text
 * @param {string} release
 */
function fromLines(text, release) {
  for (const line of text.split("\n")) {
    const entry = /^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (!entry) continue;
    const [, options = "", address, suite, components = ""] = entry;
    if (suite !== release || !components.split(/\s+/).includes("main")) continue;
    return {
      suffix: /** @type {const} */ (".list"),
      text: `deb ${options}${address} ${release}-backports main\n`,
    };
  }
  return undefined;
}

/**
 * VERSION_CODENAME of /etc/os-release.
 * @param {string} text
 */
export function codename(text) {
  return /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(text)?.[1] ?? "";
}

/**
 * The major version of the candidate in what "apt-cache policy mesa-vulkan-drivers" prints; 0 when there is none.
 * @param {string} policy
 */
export function mesaVersion(policy) {
  return Number(/^\s*Candidate: (?:\d+:)?(\d+)/m.exec(policy)?.[1] ?? 0);
}

/** The distribution's own files first: an added repository may use the same suite name. */
export function readSources() {
  const folder = join(APT_FOLDER, "sources.list.d");
  const added = existsSync(folder) ? readdirSync(folder).sort() : [];
  const paths = [join(folder, "debian.sources"), join(APT_FOLDER, "sources.list")];
  for (const name of added) {
    if (/\.(sources|list)$/.test(name) && name !== "debian.sources") paths.push(join(folder, name));
  }
  return paths
    .filter((path) => existsSync(path))
    .map((path) => ({ name: path, text: readFileSync(path, "utf8") }));
}

/** @param {string[]} args */
function aptCache(args) {
  return (
    spawnSync("apt-cache", args, { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } }).stdout ?? ""
  );
}

/** A source that does not answer need not be the one the packages come from: only the install must succeed. */
function updateLists() {
  aptGet(["update"]);
}

/** @param {string[]} args */
function aptGet(args) {
  return spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=300", ...args], {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    maxBuffer: 1 << 26,
  });
}

/** @param {string[]} packages */
function install(packages) {
  const args = ["install", "--yes", "--no-install-recommends", ...packages];
  const { status, stdout, stderr } = aptGet(args);
  if (status === 0) return;
  throw new SetupError(
    `"apt-get ${args.join(" ")}" failed; its last lines were:\n${lastLines(stdout + stderr)}`,
  );
}
