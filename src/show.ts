/** Characters of a value in a message: a line or two of a terminal. */
const MOST = 200;

/** A value as messages show it: as JSON where it has some, so that its type cannot be mistaken, and no longer than a line or two. */
export function show(value: unknown): string {
  const hasJson = typeof value === "string" || (typeof value === "object" && value !== null);
  let text: string;
  try {
    text = hasJson ? (JSON.stringify(value) ?? "an object") : String(value);
  } catch {
    // Thousands of levels deep, or in itself without end.
    return "an object nested too deep to show";
  }
  return text.length > MOST ? `${text.slice(0, MOST)}…` : text;
}

/** A size as messages show it, in three or four digits: "13.11 MB", "0.328 GB", "26.18 GB". */
export function showBytes(bytes: number): string {
  if (bytes < 1e8) return `${(bytes / 1e6).toFixed(2)} MB`;
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 2)} GB`;
}
