import { Merger } from "./merge.ts";
import { PairTable } from "./pairs.ts";
import { Trie } from "./trie.ts";
import { byteOfPiece, Kind, type Vocabulary } from "./vocabulary.ts";

/** U+2581, which stands for a space. */
const SPACE = 0x2581;
const REPLACEMENT = 0xfffd;

/**
 * Text to ids, exactly as SentencePiece does it for a BPE model. Inside, a text is an array of symbols: the number of
 * a piece or of a character inside pieces, or `~codePoint` (negative) for a character that no piece knows.
 */
export class Encoder {
  private readonly vocabulary: Vocabulary;
  private readonly merger: Merger;
  /** Symbols of the code points below 0x10000. */
  private readonly basic = new Int32Array(0x10000).map((_, codePoint) => ~codePoint);
  private readonly userDefined: Trie | undefined;
  private readonly byteIds = new Int32Array(256);
  /** Neighbouring characters of any piece, as symbols. Where two are not in it, no merge can ever cross. */
  private readonly bonds: PairTable | undefined;
  /** An unused piece -> the last two symbols seen that would merge into it. */
  private readonly unusedSplits = new Map<number, readonly [number, number]>();

  constructor(vocabulary: Vocabulary) {
    const { pieces, kinds, merges } = vocabulary;
    this.vocabulary = vocabulary;
    for (const [codePoint, symbol] of merges.characters) {
      if (codePoint < 0x10000) this.basic[codePoint] = symbol;
    }
    for (const [id, piece] of pieces.entries()) {
      if (kinds[id] === Kind.BYTE) this.byteIds[byteOfPiece(piece)!] = id;
    }
    const userDefined = pieces
      .map((piece, id) => [piece, id] as const)
      .filter(([, id]) => kinds[id] === Kind.USER_DEFINED);
    if (userDefined.length > 0) {
      this.userDefined = new Trie(
        userDefined.map(([piece, id]) => [
          Int32Array.from(piece, (character) => character.codePointAt(0)!),
          id,
        ]),
      );
    }
    if (kinds.includes(Kind.UNUSED)) {
      // SentencePiece undoes merges into unused pieces by what it saw last anywhere in the text, so that the order
      // over the whole text counts and the text must not be taken apart.
      this.merger = new Merger(merges, (piece, left, right) => {
        if (kinds[piece] === Kind.UNUSED) this.unusedSplits.set(piece, [left, right]);
      });
    } else {
      this.merger = new Merger(merges);
      this.bonds = findBonds(vocabulary);
    }
  }

  /** Appends the ids of `text` to `ids`. `prefix`: whether a space is put in front of it. */
  encode(text: string, prefix: boolean, ids: number[]): void {
    const symbols = new Int32Array(text.length + 1);
    let count = this.normalize(text, prefix, symbols);
    count = this.symbolize(symbols, count);

    let previousUnknown = false;
    let start = 0;
    while (start < count) {
      const end = this.stretchEnd(symbols, start, count);
      const mergedEnd = this.merger.merge(symbols, start, end);
      for (let index = start; index < mergedEnd; index++) {
        previousUnknown = this.emit(symbols[index]!, previousUnknown, ids);
      }
      start = end;
    }
    this.unusedSplits.clear();
  }

  /** Writes the code points of the normalised text; returns how many. A lone surrogate becomes U+FFFD. */
  private normalize(text: string, prefix: boolean, out: Int32Array): number {
    const drop = this.vocabulary.removeExtraSpaces;
    let index = 0;
    if (drop) while (text.charCodeAt(index) === 0x20) index++;
    if (index === text.length) return 0;

    let count = 0;
    if (prefix) out[count++] = SPACE;
    let previousSpace = false;
    while (index < text.length) {
      let codePoint = text.charCodeAt(index++);
      const space = codePoint === 0x20;
      if (space) {
        if (drop && previousSpace) continue;
        codePoint = SPACE;
      } else if (codePoint >= 0xd800 && codePoint <= 0xdfff) {
        const low = text.charCodeAt(index);
        if (codePoint <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
          codePoint = 0x10000 + ((codePoint - 0xd800) << 10) + (low - 0xdc00);
          index++;
        } else {
          codePoint = REPLACEMENT;
        }
      }
      previousSpace = space;
      out[count++] = codePoint;
    }
    // SentencePiece drops a U+2581 that was typed here too.
    if (drop) while (count > 0 && out[count - 1] === SPACE) count--;
    return count;
  }

  /** Turns code points into symbols, in place; user-defined pieces are matched first, the longest. */
  private symbolize(points: Int32Array, count: number): number {
    const userDefined = this.userDefined;
    if (userDefined === undefined) {
      for (let index = 0; index < count; index++) points[index] = this.symbol(points[index]!);
      return count;
    }
    let out = 0;
    for (let index = 0; index < count; ) {
      const id = userDefined.match(points, index, count);
      if (id >= 0) {
        points[out++] = id;
        index += userDefined.length;
      } else {
        points[out++] = this.symbol(points[index++]!);
      }
    }
    return out;
  }

  private symbol(codePoint: number): number {
    if (codePoint < 0x10000) return this.basic[codePoint]!;
    return this.vocabulary.merges.characters.get(codePoint) ?? ~codePoint;
  }

  /** Where the stretch that begins at `start` ends: the first place that no merge can cross. */
  private stretchEnd(symbols: Int32Array, start: number, count: number): number {
    if (this.bonds === undefined) return count;
    let end = start + 1;
    while (end < count && this.bonds.get(symbols[end - 1]!, symbols[end]!) >= 0) end++;
    return end;
  }

  /** Appends the ids of one symbol; returns whether it was unknown. */
  private emit(symbol: number, previousUnknown: boolean, ids: number[]): boolean {
    const { pieces, kinds, merges, byteFallback, unknownId } = this.vocabulary;
    if (symbol >= 0 && symbol < pieces.length) {
      const split = kinds[symbol] === Kind.UNUSED ? this.unusedSplits.get(symbol) : undefined;
      if (split === undefined) {
        ids.push(symbol);
        return false;
      }
      return this.emit(split[1], this.emit(split[0], previousUnknown, ids), ids);
    }
    if (byteFallback) {
      this.emitBytes(symbol < 0 ? ~symbol : merges.extraCharacters[symbol - pieces.length]!, ids);
    } else if (!previousUnknown) {
      // A run of unknown characters is one unknown id.
      ids.push(unknownId);
    }
    return true;
  }

  private emitBytes(codePoint: number, ids: number[]): void {
    const bytes = this.byteIds;
    if (codePoint < 0x80) {
      ids.push(bytes[codePoint]!);
    } else if (codePoint < 0x800) {
      ids.push(bytes[0xc0 | (codePoint >> 6)]!, bytes[0x80 | (codePoint & 63)]!);
    } else if (codePoint < 0x10000) {
      const [a, b, c] = [0xe0 | (codePoint >> 12), 0x80 | ((codePoint >> 6) & 63), 0x80 | (codePoint & 63)];
      ids.push(bytes[a]!, bytes[b]!, bytes[c]!);
    } else {
      const [a, b] = [0xf0 | (codePoint >> 18), 0x80 | ((codePoint >> 12) & 63)];
      ids.push(bytes[a]!, bytes[b]!, bytes[0x80 | ((codePoint >> 6) & 63)]!, bytes[0x80 | (codePoint & 63)]!);
    }
  }
}

/** Every two characters that are neighbours inside some piece that text can merge into. */
function findBonds({ pieces, merges }: Vocabulary): PairTable {
  const targets = new Set(merges.merged);
  let capacity = 0;
  for (const id of targets) capacity += pieces[id]!.length;
  const bonds = new PairTable(capacity);
  for (const id of targets) {
    let previous = -1;
    for (const character of pieces[id]!) {
      const symbol = merges.characters.get(character.codePointAt(0)!)!;
      if (previous >= 0) bonds.set(previous, symbol, 1);
      previous = symbol;
    }
  }
  return bonds;
}
