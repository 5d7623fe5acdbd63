/** A WGSL module joined from files, and where each of its lines came from. */
export interface LinkedShader {
  readonly code: string;
  /** The file and 1-based line behind a 1-based line of `code`. */
  origin(line: number): { readonly file: string; readonly line: number };
}

const DIRECTIVE = /^[ \t]*(enable|requires|diagnostic)\b[^;]*;/gm;

/**
 * Joins shader files into one module. WGSL wants directives first, so they are hoisted to line 1 and blanked where
 * they stood: every other line keeps its place in its file, and an error can name it.
 */
export function link(files: readonly { readonly name: string; readonly text: string }[]): LinkedShader {
  const directives = new Set(files.flatMap(({ text }) => text.match(DIRECTIVE)?.map((d) => d.trim()) ?? []));
  const starts: number[] = [];
  let line = 2;
  for (const { text } of files) {
    starts.push(line);
    line += text.split("\n").length;
  }
  return {
    code: [[...directives].join(" "), ...files.map(({ text }) => text.replace(DIRECTIVE, ""))].join("\n"),
    origin(at) {
      const index = Math.max(
        0,
        starts.findLastIndex((start) => start <= at),
      );
      return { file: `${files[index]?.name}.wgsl`, line: Math.max(1, at - (starts[index] ?? 0) + 1) };
    },
  };
}
