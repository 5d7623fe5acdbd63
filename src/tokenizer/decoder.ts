import { TokenizerError } from "../errors.ts";
import type { AddedToken } from "./special.ts";
import { ByteDecoder } from "./utf8.ts";
import { byteOfPiece, Kind, SPACE, type Vocabulary } from "./vocabulary.ts";

/** What decoding needs to know of each id, worked out once. */
export class DecodeTable {
  /** Text by id, spaces in place of U+2581; control pieces and special tokens are empty. */
  readonly texts: string[] = [];
  /** The byte of a byte piece, or -1. */
  readonly bytes: Int16Array;
  /** Whether the text begins with a space, which is dropped at the beginning of a whole. */
  readonly leadingSpace: Uint8Array;
  readonly dropFirstSpace: boolean;
  readonly dropAllSpaces: boolean;
  /** Whether the text after a special token was encoded with a space of its own. */
  readonly beginsAnew: boolean;
  /** The special strings by id. */
  readonly special: ReadonlyMap<number, string>;

  /** `size`: how many ids there are. */
  constructor(vocabulary: Vocabulary, tokens: readonly AddedToken[], size: number) {
    this.bytes = new Int16Array(size).fill(-1);
    this.leadingSpace = new Uint8Array(size);
    this.dropAllSpaces = vocabulary.removeExtraSpaces;
    this.dropFirstSpace = vocabulary.dropFirstSpace;
    this.beginsAnew = vocabulary.rules.prefix === "each";
    this.special = new Map(tokens.filter((token) => token.special).map(({ id, text }) => [id, text]));
    const plain = new Map(tokens.filter((token) => !token.special).map(({ id, text }) => [id, text]));
    for (let id = 0; id < size; id++) {
      const kind = vocabulary.kinds[id] ?? Kind.CONTROL;
      const hidden = kind === Kind.CONTROL || kind === Kind.BYTE;
      const text = (plain.get(id) ?? (hidden ? "" : vocabulary.pieces[id]!)).replaceAll(SPACE, " ");
      this.texts.push(kind === Kind.UNKNOWN ? vocabulary.unknownText : text);
      if (kind === Kind.BYTE) this.bytes[id] = byteOfPiece(vocabulary.pieces[id]!)!;
      if (kind !== Kind.UNKNOWN && text.startsWith(" ")) this.leadingSpace[id] = 1;
    }
  }
}

/** Ids to text, piece by piece: never half a character, never a lost space. */
export interface StreamDecoder {
  /** The text that `id` completes; empty while a character is unfinished. Throws TokenizerError for an unknown id. */
  push(id: number): string;
  /** What is left at the end: unfinished bytes as U+FFFD. */
  end(): string;
}

/**
 * Ids to text one at a time, as SentencePiece decodes a whole: the first leading space is dropped, control pieces are
 * nothing, a run of byte pieces is UTF-8. With `showSpecial`, special ids are their strings, and where each stretch is
 * encoded with a space in front, the text after one begins anew: its first leading space is dropped too.
 */
export class PieceDecoder implements StreamDecoder {
  private readonly table: DecodeTable;
  private readonly showSpecial: boolean;
  private readonly bytes = new ByteDecoder();
  /** Whether a leading space is still to be dropped. */
  private atStart = true;

  constructor(table: DecodeTable, showSpecial: boolean) {
    this.table = table;
    this.showSpecial = showSpecial;
  }

  push(id: number): string {
    const table = this.table;
    const byte = table.bytes[id];
    if (byte === undefined) {
      throw new TokenizerError(
        `Token id ${id} has no piece: ids run from 0 to ${table.texts.length - 1}. Mask the model's padding rows.`,
      );
    }
    if (byte >= 0) {
      this.atStart = false;
      return this.bytes.push(byte);
    }
    const unfinished = this.bytes.flush();
    const special = this.showSpecial ? table.special.get(id) : undefined;
    if (special !== undefined) {
      this.atStart = table.beginsAnew;
      return unfinished + special;
    }
    let text = table.texts[id]!;
    if (this.atStart && table.leadingSpace[id] === 1 && table.dropFirstSpace) {
      text = text.slice(1);
      if (!table.dropAllSpaces) this.atStart = false;
    }
    if (text !== "") this.atStart = false;
    return unfinished + text;
  }

  end(): string {
    return this.bytes.flush();
  }
}
