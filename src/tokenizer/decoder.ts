import { TokenizerError } from "../errors.ts";
import { ByteDecoder } from "./utf8.ts";
import { byteOfPiece, Kind, SPACE, type Vocabulary } from "./vocabulary.ts";

/** What decoding needs to know of each id, worked out once. */
export class DecodeTable {
  /** Text by id, spaces in place of U+2581; control pieces and added tokens are empty. */
  readonly texts: string[] = [];
  /** The byte of a byte piece, or -1. */
  readonly bytes: Int16Array;
  /** Whether the piece begins with U+2581, which is dropped at the beginning of a text. */
  readonly leadingSpace: Uint8Array;
  readonly unknownId: number;
  readonly dropFirstSpace: boolean;
  readonly dropAllSpaces: boolean;
  readonly special: ReadonlyMap<number, string>;

  /** `special`: the special strings by id; `size`: how many ids there are. */
  constructor(vocabulary: Vocabulary, special: ReadonlyMap<number, string>, size: number) {
    this.bytes = new Int16Array(size).fill(-1);
    this.leadingSpace = new Uint8Array(size);
    this.unknownId = vocabulary.unknownId;
    this.dropAllSpaces = vocabulary.removeExtraSpaces;
    this.dropFirstSpace = vocabulary.dummyPrefix || vocabulary.removeExtraSpaces;
    this.special = special;
    for (let id = 0; id < size; id++) {
      const piece = vocabulary.pieces[id];
      const kind = vocabulary.kinds[id] ?? Kind.CONTROL;
      const hidden = piece === undefined || kind === Kind.CONTROL || kind === Kind.BYTE;
      if (kind === Kind.UNKNOWN) this.texts.push(vocabulary.unknownText);
      else this.texts.push(hidden ? "" : piece.replaceAll(SPACE, " "));
      if (kind === Kind.BYTE && piece !== undefined) this.bytes[id] = byteOfPiece(piece)!;
      if (!hidden && kind !== Kind.UNKNOWN && piece.startsWith(SPACE)) this.leadingSpace[id] = 1;
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
 * nothing, a run of byte pieces is UTF-8. With `showSpecial`, special ids are their strings, and the text after one
 * begins anew, as it was encoded: its first leading space is dropped too.
 */
export class PieceDecoder implements StreamDecoder {
  readonly #table: DecodeTable;
  readonly #showSpecial: boolean;
  readonly #bytes = new ByteDecoder();
  /** Whether a leading space is still to be dropped. */
  #atStart = true;

  constructor(table: DecodeTable, showSpecial: boolean) {
    this.#table = table;
    this.#showSpecial = showSpecial;
  }

  push(id: number): string {
    const table = this.#table;
    const byte = table.bytes[id];
    if (byte === undefined) {
      throw new TokenizerError(
        `Token id ${id} has no piece: ids run from 0 to ${table.texts.length - 1}. Mask the model's padding rows.`,
      );
    }
    if (byte >= 0) {
      this.#atStart = false;
      return this.#bytes.push(byte);
    }
    const unfinished = this.#bytes.flush();
    const special = this.#showSpecial ? table.special.get(id) : undefined;
    if (special !== undefined) {
      this.#atStart = true;
      return unfinished + special;
    }
    let text = table.texts[id]!;
    if (this.#atStart && table.leadingSpace[id] === 1 && table.dropFirstSpace) {
      text = text.slice(1);
      if (!table.dropAllSpaces) this.#atStart = false;
    }
    if (text !== "") this.#atStart = false;
    return unfinished + text;
  }

  end(): string {
    return this.#bytes.flush();
  }
}
