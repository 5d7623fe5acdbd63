import type { AddedToken } from "./special.ts";
import { Trie } from "./trie.ts";

/** A stretch of a text: text for the encoder, or an added token. */
export type Segment = string | AddedToken;

/** Finds added tokens in text: from the left, at each place the longest. */
export class AddedTokens {
  private readonly tokens: readonly AddedToken[];
  private readonly trie: Trie;
  private readonly spaces: Spaces;
  /** Whether a token begins with a UTF-16 unit: most places of a text are passed over by this alone. */
  private readonly begins = new Uint8Array(0x10000);

  constructor(tokens: readonly AddedToken[], spaces: Spaces) {
    this.tokens = tokens;
    this.spaces = spaces;
    const units = tokens.map((token) => utf16(token.text));
    for (const [first] of units) this.begins[first!] = 1;
    this.trie = new Trie(units.map((sequence, index) => [sequence, index]));
  }

  /**
   * Cuts a text at the tokens; the stretches between are never empty. The white space after a token that strips it is
   * gone; that before a token is for `stripBefore`.
   */
  split(text: string): Segment[] {
    if (this.tokens.length === 0) return text === "" ? [] : [text];
    const segments: Segment[] = [];
    const units = utf16(text);
    let end = 0;
    for (let index = 0; index < units.length; ) {
      const found = this.begins[units[index]!] === 1 ? this.trie.match(units, index, units.length) : -1;
      if (found < 0) {
        index++;
        continue;
      }
      const next = index + this.trie.length;
      const token = this.tokens[found]!;
      if (!token.singleWord || !touched(text, index, next)) {
        if (index > end) segments.push(text.slice(end, index));
        segments.push(token);
        end = next;
        if (token.stripRight) while (this.spaces.has(units[end])) end++;
      }
      index = next;
    }
    if (end < text.length) segments.push(text.slice(end));
    return segments;
  }
}

function utf16(text: string): Int32Array {
  const units = new Int32Array(text.length);
  for (let index = 0; index < units.length; index++) units[index] = text.charCodeAt(index);
  return units;
}

// What regular expressions in Rust call a word character, in which tokenizer.json's single_word is defined.
const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const [WORD_BEFORE, WORD_AFTER] = [new RegExp(`${WORD}$`, "u"), new RegExp(`^${WORD}`, "u")];

/** Whether a word character stands next to what is between `start` and `end`. */
function touched(text: string, start: number, end: number): boolean {
  return (
    WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) || WORD_AFTER.test(text.slice(end, end + 2))
  );
}

/** White space, as whoever reads a tokenizer has it: all of it are single UTF-16 units. */
export interface Spaces {
  has(unit: number | undefined): boolean;
}

function spaces(more: string): Spaces {
  const all = `\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000${more}`;
  const units = new Set<number | undefined>(utf16(all));
  return units;
}

/** Unicode's, in which tokenizer.json's lstrip and rstrip are defined. JavaScript's trim() strips U+FEFF and leaves U+85. */
export const RUST_SPACES = spaces("");

/** As Python's str.strip() has it: Unicode's, and the four separators 0x1C to 0x1F. */
export const PYTHON_SPACES = spaces("\x1c\x1d\x1e\x1f");

/** Takes the white space from before the tokens that strip it, in place; text of nothing else becomes "". */
export function stripBefore(segments: Segment[], white: Spaces): void {
  for (const [index, segment] of segments.entries()) {
    const after = segments[index + 1];
    if (typeof segment !== "string" || typeof after !== "object" || !after.stripLeft) continue;
    let end = segment.length;
    while (end > 0 && white.has(segment.charCodeAt(end - 1))) end--;
    segments[index] = segment.slice(0, end);
  }
}

/** `text` as it is after `before`. */
export function stripAfter(text: string, before: Segment | undefined, white: Spaces): string {
  if (typeof before !== "object" || !before.stripRight) return text;
  let start = 0;
  while (white.has(text.charCodeAt(start))) start++;
  return text.slice(start);
}
