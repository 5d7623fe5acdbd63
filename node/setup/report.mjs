/** What stops the set-up and cannot be mended here; the message is one sentence that says what to do. */
export class SetupError extends Error {}

/**
 * One line per step that takes time, on stderr: stdout belongs to the program that runs after the set-up.
 * @param {string} line
 */
export function say(line) {
  process.stderr.write(`set-up: ${line}\n`);
}

/**
 * The last lines of a program's output, for when it failed.
 * @param {string} output
 * @param {number} [count]
 */
export function lastLines(output, count = 12) {
  return output.trimEnd().split("\n").slice(-count).join("\n");
}
