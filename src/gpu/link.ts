/** A WGSL module joined from files, and where each of its lines came from. */
export interface LinkedShader {
  readonly code: string;
  /** The file and 1-based line behind a 1-based line of `code`. */
  origin(line: number): { readonly file: string; readonly line: number };
}

const DIRECTIVE = /^[ \t]*(enable|requires|diagnostic)\b[^;]*;/gm;

/**
 * Joins shader files into one module. WGSL wants directives first, so they are hoisted, a line each, and blanked where
 * they stood: every other line keeps its place in its file. Errors can name file and line of all of them.
 */
export function link(files: readonly { readonly name: string; readonly text: string }[]): LinkedShader {
  const directives = new Map<string, { file: string; line: number }>();
  const lines: string[] = [];
  const origins: { file: string; line: number }[] = [];
  for (const { name, text } of files) {
    const file = `${name}.wgsl`;
    for (const { 0: directive, index } of text.matchAll(DIRECTIVE)) {
      const code = directive.trim().replace(/\s+/g, " ");
      const line = text.slice(0, index).split("\n").length;
      if (!directives.has(code)) directives.set(code, { file, line });
    }
    const blanked = text.replace(DIRECTIVE, (directive) => directive.replace(/[^\n]/g, ""));
    for (const [i, line] of blanked.split("\n").entries()) {
      lines.push(line);
      origins.push({ file, line: i + 1 });
    }
  }
  const all = [...directives.values(), ...origins];
  return {
    code: [...directives.keys(), ...lines].join("\n"),
    origin: (line) => all[Math.min(Math.max(line, 1), all.length) - 1]!,
  };
}
