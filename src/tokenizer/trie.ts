import { PairTable } from "./pairs.ts";

/** Finds the longest of a set of sequences at a place in another, in steps bounded by the longest one. */
export class Trie {
  /** (node, unit) -> node. Node 0 is the root. */
  private readonly edges: PairTable;
  /** The value of the sequence that ends at a node, or -1. */
  private readonly values: number[] = [-1];
  /** Length in units of the last match. */
  length = 0;

  /** Units are small non-negative integers: code points, or UTF-16 units. Of equal sequences the last counts. */
  constructor(entries: readonly (readonly [units: Int32Array, value: number])[]) {
    this.edges = new PairTable(entries.reduce((sum, [units]) => sum + units.length, 0));
    for (const [units, value] of entries) {
      let node = 0;
      for (const unit of units) {
        let child = this.edges.get(node, unit);
        if (child < 0) {
          child = this.values.push(-1) - 1;
          this.edges.set(node, unit, child);
        }
        node = child;
      }
      this.values[node] = value;
    }
  }

  /** The value of the longest sequence that begins at `units[start]`, or -1; sets `length`. */
  match(units: Int32Array, start: number, end: number): number {
    let found = -1;
    let node = 0;
    for (let index = start; index < end; index++) {
      node = this.edges.get(node, units[index]!);
      if (node < 0) break;
      if (this.values[node]! < 0) continue;
      found = this.values[node]!;
      this.length = index + 1 - start;
    }
    return found;
  }
}
