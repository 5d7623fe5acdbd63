import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Store } from "../src/host.ts";

/**
 * Where a user's programs keep what they can make again: XDG_CACHE_HOME or ~/.cache, on Windows LOCALAPPDATA. As its
 * standard wants it, an XDG_CACHE_HOME that is no absolute path does not count.
 */
export function cacheFolder(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = environment;
  const given = platform === "win32" ? LOCALAPPDATA : XDG_CACHE_HOME;
  return join(given && isAbsolute(given) ? given : join(homedir(), ".cache"), "ziya-webgpu");
}

/**
 * Files of a folder, which is made when the first is written. A file that a process leaves half written is none.
 * @param folder Asked for when it is needed: a user may have no home.
 */
export function fileStore(folder: () => string = cacheFolder): Store {
  return {
    async read(name) {
      try {
        return await readFile(join(folder(), name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    async write(name, bytes) {
      const path = join(folder(), name);
      await mkdir(folder(), { recursive: true });
      const unfinished = `${path}.${randomUUID()}`;
      try {
        await writeFile(unfinished, bytes);
        await rename(unfinished, path);
      } catch (error) {
        await rm(unfinished, { force: true });
        throw error;
      }
    },
  };
}
