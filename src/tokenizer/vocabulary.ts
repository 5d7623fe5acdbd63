import { TokenizerError } from "../errors.ts";
import { show } from "../show.ts";
import { PairTable } from "./pairs.ts";

/** What a piece is, numbered as in SentencePiece's ModelProto. */
export const Kind = { NORMAL: 1, UNKNOWN: 2, CONTROL: 3, USER_DEFINED: 4, UNUSED: 5, BYTE: 6 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** U+2581, which stands for a space inside pieces. */
export const SPACE = "\u2581";

/** Pieces with an id each; above this a file is refused. The largest published vocabularies have 262,144. */
export const MAX_PIECES = 1 << 19;

/** Length of one piece in bytes; LLaMA's longest has 48. Bounds the ways to split a piece in two. */
export const MAX_PIECE_BYTES = 128;

/** What a tokenizer file says, whichever kind of file it was. */
export interface Vocabulary {
  /** For messages: the file's name. */
  readonly name: string;
  /** Pieces by id. */
  readonly pieces: readonly string[];
  /** Kinds by id. */
  readonly kinds: readonly Kind[];
  /** Minus one, as for `bosId` and `eosId`, where the file names none. */
  readonly unknownId: number;
  readonly bosId: number;
  readonly eosId: number;
  /** Whether a character that no piece covers becomes one byte piece per UTF-8 byte, not the unknown id. */
  readonly byteFallback: boolean;
  /** What the unknown id decodes to. */
  readonly unknownText: string;
  readonly rules: TextRules;
  /** Whether decoding drops the space that a text begins with. */
  readonly dropFirstSpace: boolean;
  /** Whether leading, trailing and repeated spaces are dropped. LLaMA keeps them. */
  readonly removeExtraSpaces: boolean;
  readonly merges: Merges;
}

/** Where a space is put in front of text, so that its first word is a word like any other. */
export interface TextRules {
  /**
   * Who puts it: SentencePiece and transformers' slow tokenizer; the normalizer of a tokenizer.json, before its
   * normalised added tokens are looked for; or its Metaspace, afterwards and only where no space is yet.
   */
  readonly by: "slow" | "normalizer" | "metaspace";
  /** In front of each stretch between added tokens, of a text's first one alone, or nowhere. */
  readonly prefix: "each" | "first" | "never";
}

/** Characters as symbols, and which neighbours merge into which piece. A symbol below `pieces.length` is a piece. */
export interface Merges {
  /** Code point -> symbol, for every character that is a piece or part of one. */
  readonly characters: ReadonlyMap<number, number>;
  /** Code points of the symbols from `pieces.length` on: characters inside pieces that are no pieces themselves. */
  readonly extraCharacters: readonly number[];
  /** (left symbol, right symbol) -> index into `merged` and `ranks`. */
  readonly pairs: PairTable;
  readonly merged: Int32Array;
  /** Smaller merges first; of equal ranks the leftmost. */
  readonly ranks: Int32Array;
}

/** Refuses pieces that no tokenizer can have: empty, too long, twice, or a byte that is missing. */
export function checkPieces(name: string, pieces: readonly string[], kinds: readonly Kind[]): void {
  if (pieces.length === 0 || pieces.length > MAX_PIECES) {
    throw new TokenizerError(`${name} has ${pieces.length} pieces; from 1 to ${MAX_PIECES} are read.`);
  }
  const ids = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) {
    if (piece === "")
      throw new TokenizerError(`${name} has an empty piece with id ${id}. Fetch the file again.`);
    const first = ids.get(piece);
    if (first !== undefined) {
      throw new TokenizerError(
        `${name} has the piece ${show(piece)} twice, with ids ${first} and ${id}. Fetch the file again.`,
      );
    }
    ids.set(piece, id);
    if (kinds[id] === Kind.BYTE && byteOfPiece(piece) === undefined) {
      throw new TokenizerError(`${name} calls ${show(piece)} a byte; bytes are <0x00> to <0xFF>.`);
    }
  }
}

/**
 * Makes control pieces of those that are special, so that text never becomes one: whatever kind the file gave them. A
 * single character that text consists of (a padding token "!") stays text.
 */
export function reservePieces(pieces: readonly string[], kinds: Kind[], special: ReadonlySet<string>): void {
  for (const [id, piece] of pieces.entries()) {
    if (!special.has(piece)) continue;
    const isText = mergeable(kinds[id]) && !isCharacter(piece);
    if (isText || kinds[id] === Kind.USER_DEFINED) kinds[id] = Kind.CONTROL;
  }
}

/** The value of a byte piece (`<0x0A>` is 10), or undefined when the string is not one. */
export function byteOfPiece(piece: string): number | undefined {
  return /^<0x[0-9A-F]{2}>$/.test(piece) ? Number.parseInt(piece.slice(3, 5), 16) : undefined;
}

/** The symbols of a vocabulary: its matchable pieces by string, and the characters they are made of. */
export class Symbols {
  readonly characters = new Map<number, number>();
  readonly extraCharacters: number[] = [];
  private readonly byText = new Map<string, number>();
  private readonly pieces: readonly string[];

  constructor(pieces: readonly string[], kinds: readonly Kind[]) {
    this.pieces = pieces;
    for (const [id, piece] of pieces.entries()) {
      if (!mergeable(kinds[id])) continue;
      this.byText.set(piece, id);
      if (isCharacter(piece)) this.characters.set(piece.codePointAt(0)!, id);
    }
    for (const [id, piece] of pieces.entries()) {
      if (!mergeable(kinds[id])) continue;
      for (const character of piece) {
        const codePoint = character.codePointAt(0)!;
        if (this.characters.has(codePoint)) continue;
        const symbol = pieces.length + this.extraCharacters.length;
        this.characters.set(codePoint, symbol);
        this.byText.set(character, symbol);
        this.extraCharacters.push(codePoint);
      }
    }
  }

  /** The symbol with this text, or undefined. */
  find(text: string): number | undefined {
    return this.byText.get(text);
  }

  /** All (left symbol, right symbol) whose texts joined are piece `id`, shortest left first. */
  splits(id: number): [number, number][] {
    const piece = this.pieces[id]!;
    const splits: [number, number][] = [];
    for (let end = 1; end < piece.length; end++) {
      if (isLowSurrogate(piece.charCodeAt(end))) continue;
      const left = this.byText.get(piece.slice(0, end));
      if (left === undefined) continue;
      const right = this.byText.get(piece.slice(end));
      if (right !== undefined) splits.push([left, right]);
    }
    return splits;
  }
}

/** Packs merges, given as [left symbol, right symbol, merged piece, rank]. */
export function packMerges(
  symbols: Symbols,
  merges: readonly (readonly [number, number, number, number])[],
): Merges {
  const pairs = new PairTable(merges.length);
  const merged = new Int32Array(merges.length);
  const ranks = new Int32Array(merges.length);
  for (const [index, [left, right, piece, rank]] of merges.entries()) {
    pairs.set(left, right, index);
    merged[index] = piece;
    ranks[index] = rank;
  }
  return { characters: symbols.characters, extraCharacters: symbols.extraCharacters, pairs, merged, ranks };
}

/**
 * Whether text can merge into pieces of this kind. Control, unknown and byte pieces are never matched by text;
 * user-defined pieces are matched as a whole before merging begins.
 */
function mergeable(kind: Kind | undefined): boolean {
  return kind === Kind.NORMAL || kind === Kind.UNUSED;
}

function isCharacter(piece: string): boolean {
  return piece.length === (piece.codePointAt(0)! > 0xffff ? 2 : 1);
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
