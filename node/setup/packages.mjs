import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { lastLines, SetupError, say } from "./report.mjs";

/**
 * @typedef {{ version?: string, integrity?: string, optional?: boolean }} LockedPackage
 * @typedef {{ packages?: Record<string, LockedPackage> }} LockFile
 */

/**
 * Whether what npm installed is what the lock file asks for. Packages for other platforms are optional and may be
 * absent. Content is compared rather than times, which a checkout or an `npm install` by hand may set either way.
 * @param {LockFile} wanted package-lock.json
 * @param {LockFile} installed node_modules/.package-lock.json
 */
export function isInstalled(wanted, installed) {
  return Object.entries(wanted.packages ?? {}).every(([path, { version, integrity, optional }]) => {
    if (path === "") return true;
    const found = installed.packages?.[path];
    return found ? found.version === version && found.integrity === integrity : optional === true;
  });
}

/**
 * One sentence for what npm printed when it failed.
 * @param {string} output
 */
export function explainNpmFailure(output) {
  if (/\bEUSAGE\b/.test(output) && /in sync|lock ?file/i.test(output)) {
    return 'package-lock.json does not match package.json; run "npm install" once and start again.';
  }
  const network =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENETUNREACH|EHOSTUNREACH)\b/.exec(
      output,
    );
  if (network) {
    return `npm cannot reach its registry (${network[1]}); connect to the network, or set npm's registry or proxy, and start again.`;
  }
  const full = /\bENOSPC\b/.test(output);
  if (full) return "The disk is full (ENOSPC); npm needs about 500 MB here.";
  return `"npm ci" failed; its last lines were:\n${lastLines(output)}`;
}

/**
 * Installs the npm packages with `npm ci` unless they are there.
 * @param {string} root
 */
export function ensurePackages(root) {
  const wanted = join(root, "package-lock.json");
  const installed = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(wanted)) {
    throw new SetupError('package-lock.json is missing; restore it from git, or run "npm install".');
  }
  if (existsSync(installed) && isInstalled(readLock(wanted), readLock(installed))) return;
  say("installing npm packages");
  // NODE_ENV=production would leave the compiler out.
  // And npm hands on its own flags: under "npm pack --dry-run" it would install nothing.
  const { status, error, stdout, stderr } = runNpm(
    ["ci", "--include=dev", "--dry-run=false", "--no-audit", "--no-fund", "--fetch-retry-maxtimeout=10000"],
    root,
  );
  if (error) throw new SetupError(`npm cannot be started (${error.message}); install it with Node.js.`);
  if (status !== 0) throw new SetupError(explainNpmFailure(`${stdout}\n${stderr}`));
}

/**
 * @param {string} path
 * @returns {LockFile}
 */
function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // A lock that cannot be read matches nothing: npm says what is wrong with it.
    return { packages: { unreadable: {} } };
  }
}

/**
 * @param {string[]} args
 * @param {string} cwd
 */
function runNpm(args, cwd) {
  /** @type {import("node:child_process").SpawnSyncOptionsWithStringEncoding} */
  const options = { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1 << 26 };
  // Under `npm start` npm names its own script, which needs no shell on any platform.
  const script = process.env.npm_execpath ?? "";
  if (basename(script) === "npm-cli.js" && existsSync(script)) {
    return spawnSync(process.execPath, [script, ...args], options);
  }
  // Windows starts npm.cmd only through a shell; the arguments are fixed words, so nothing needs quoting.
  return process.platform === "win32"
    ? spawnSync("npm.cmd", args, { ...options, shell: true })
    : spawnSync("npm", args, options);
}
