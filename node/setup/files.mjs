import { readFileSync } from "node:fs";

/**
 * The text of a file, or nothing where there is none.
 * @param {string} path
 */
export function readOrEmpty(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
