import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installSoftwareVulkan, isAptSystem } from "./apt.mjs";
import { readOrEmpty } from "./files.mjs";
import { lastLines, SetupError, say } from "./report.mjs";

/** Where the Vulkan loader looks for drivers, and the variables that change that. */
const DRIVER_FOLDERS = ["/etc/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
const DRIVER_VARIABLES = ["VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES", "VK_ICD_FILENAMES", "LD_LIBRARY_PATH"];

/**
 * Makes sure that Dawn finds an adapter. A success is remembered until Dawn or the drivers change, because starting
 * a driver can take a second.
 * @param {string} root
 */
export function ensureAdapter(root) {
  const stamp = join(root, "node_modules", ".cache", "ziya-webgpu", "adapter");
  if (readOrEmpty(stamp) === driverKey(root)) return;
  let found = probe(root);
  if (!found.adapter && isAptSystem() && process.getuid?.() === 0) {
    say("no WebGPU adapter found; installing Mesa's software Vulkan");
    installSoftwareVulkan();
    found = probe(root);
    if (!found.adapter) {
      throw new SetupError(
        `Mesa's software Vulkan was installed, and Dawn still finds no WebGPU adapter: ${found.reason}.`,
      );
    }
  }
  if (!found.adapter) throw new SetupError(adviceFor(process.platform, isAptSystem(), found.reason));
  say(`WebGPU adapter: ${found.adapter}`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, driverKey(root));
}

/**
 * What to install where the set-up cannot do it itself.
 * @param {string} platform
 * @param {boolean} apt
 * @param {string} reason
 */
export function adviceFor(platform, apt, reason) {
  const none = `No WebGPU adapter was found (${reason})`;
  if (platform === "darwin") return `${none}; run it on a Mac with a Metal GPU, outside a virtual machine.`;
  if (platform === "win32") return `${none}; install the graphics card's driver, with Direct3D 12 or Vulkan.`;
  if (apt) {
    return `${none}; install the graphics card's Vulkan driver or Mesa's software one, "sudo apt-get install mesa-vulkan-drivers libvulkan1" (on Debian 12 "mesa-vulkan-drivers/bookworm-backports").`;
  }
  return `${none}; install the Vulkan loader and a driver: the graphics card's, or Mesa's software one (lavapipe; 23 or newer).`;
}

/**
 * @param {string} root
 * @returns {{ adapter: string, reason: string }} an empty adapter when there is none
 */
function probe(root) {
  const script = join(dirname(fileURLToPath(import.meta.url)), "probe.mjs");
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [script], {
    cwd: root,
    encoding: "utf8",
    timeout: 60_000,
  });
  if (status === 0) return { adapter: stdout, reason: "" };
  if (status === 3) return { adapter: "", reason: "Dawn runs, but no driver answers" };
  if (signal) return { adapter: "", reason: `the driver stopped the process with ${signal}` };
  const error = /^\w*Error: .*$/m.exec(stderr)?.[0] ?? lastLines(stderr, 1);
  return { adapter: "", reason: `Dawn does not load: ${error}` };
}

/**
 * Changes with Dawn's version, the installed drivers and the variables that choose one.
 * @param {string} root
 */
function driverKey(root) {
  const hash = createHash("sha256");
  hash.update(readOrEmpty(join(root, "node_modules", "webgpu", "package.json")));
  hash.update(JSON.stringify([process.arch, ...DRIVER_VARIABLES.map((name) => process.env[name] ?? null)]));
  for (const folder of DRIVER_FOLDERS) {
    for (const name of namesIn(folder)) {
      // A removed driver may leave a link to nothing.
      const found = statSync(join(folder, name), { throwIfNoEntry: false });
      hash.update(`${name} ${found?.mtimeMs ?? "gone"}\n`);
    }
  }
  return hash.digest("hex");
}

/** @param {string} folder */
function namesIn(folder) {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
