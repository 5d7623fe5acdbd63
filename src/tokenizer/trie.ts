import { PairTable } from "./pairs.ts";

/** Finds the longest of a set of strings at a place in a text, in steps bounded by the longest string. */
export class Trie {
  /** (node, code point) -> node. Node 0 is the root. */
  readonly #edges: PairTable;
  /** The value of the string that ends at a node, or -1. */
  readonly #values: number[] = [-1];
  /** Length in code points of the last match. */
  length = 0;

  constructor(entries: readonly (readonly [text: string, value: number])[]) {
    this.#edges = new PairTable(entries.reduce((sum, [text]) => sum + text.length, 0));
    for (const [text, value] of entries) {
      let node = 0;
      for (const character of text) {
        const codePoint = character.codePointAt(0)!;
        let child = this.#edges.get(node, codePoint);
        if (child < 0) {
          child = this.#values.push(-1) - 1;
          this.#edges.set(node, codePoint, child);
        }
        node = child;
      }
      this.#values[node] = value;
    }
  }

  /** The value of the longest string that begins at `codePoints[start]`, or -1; sets `length`. */
  match(codePoints: Int32Array, start: number, end: number): number {
    let found = -1;
    let node = 0;
    for (let index = start; index < end; index++) {
      node = this.#edges.get(node, codePoints[index]!);
      if (node < 0) break;
      if (this.#values[node]! < 0) continue;
      found = this.#values[node]!;
      this.length = index + 1 - start;
    }
    return found;
  }
}
