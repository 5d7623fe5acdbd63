import { OptionError } from "../errors.ts";
import { show } from "../show.ts";
import {
  AddedTokens,
  PYTHON_SPACES,
  RUST_SPACES,
  type Segment,
  type Spaces,
  stripAfter,
  stripBefore,
} from "./added.ts";
import { DecodeTable, PieceDecoder, type StreamDecoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";
import type { AddedToken } from "./special.ts";
import { SPACE, type TextRules, type Vocabulary } from "./vocabulary.ts";

/** A stretch of text to encode. */
export interface Span {
  readonly text: string;
  /** Whether special strings (`<human>`, `</s>` …) in it become their ids. Text a person typed never does. */
  readonly special: boolean;
}

interface EncodeOptions {
  /** Put the begin-of-sequence id in front. Default false. */
  readonly bos?: boolean;
  /** Recognise special strings in the text. Default false: the text is data. */
  readonly special?: boolean;
}

interface DecodeOptions {
  /** Write special ids as their strings (`<human>`). Default false: they are nothing, and `<unk>` is " ⁇ ". */
  readonly special?: boolean;
}

export interface Tokenizer {
  /** Pieces and added tokens: ids run from 0 to size - 1. */
  readonly size: number;
  readonly bosId: number;
  readonly eosId: number;
  /** The ids of a text; an empty text has none (but BOS, where asked for). A lone surrogate counts as U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Encodes runs of adjacent spans as one text each, split only at the special strings of `special` spans and at
   * `null` (a boundary: what follows is tokenised on its own, with its own dummy prefix). A special string counts only
   * where it lies wholly within one special span.
   */
  encodeSpans(spans: readonly (Span | null)[]): number[];
  /** The text of ids, as SentencePiece decodes them. Throws TokenizerError for an unknown id. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** Decodes an answer id by id. All it returns, joined, is `decode` of the whole: one leading space is dropped. */
  stream(options?: DecodeOptions): StreamDecoder;
  /** The id of a special string, or undefined. */
  specialId(text: string): number | undefined;
  /** The special strings, longest first. */
  readonly specials: readonly string[];
}

/** A tokenizer from its parts. */
export function createTokenizer(vocabulary: Vocabulary, tokens: readonly AddedToken[]): Tokenizer {
  return new SentencePieceTokenizer(vocabulary, tokens);
}

class SentencePieceTokenizer implements Tokenizer {
  readonly size: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly specials: readonly string[];
  private readonly rules: TextRules;
  private readonly spaces: Spaces;
  private readonly specialIds: ReadonlyMap<string, number>;
  /** What splits a text as it is, special strings included. */
  private readonly written: AddedTokens;
  /** The same without special strings: what splits any text. */
  private readonly typed: AddedTokens;
  /** What splits text after that, normalised if the rules do normalise before. */
  private readonly normalized: AddedTokens;
  private readonly encoder: Encoder;
  private readonly decodeTable: DecodeTable;

  constructor(vocabulary: Vocabulary, tokens: readonly AddedToken[]) {
    const { rules } = vocabulary;
    this.bosId = vocabulary.bosId;
    this.eosId = vocabulary.eosId;
    this.rules = rules;
    this.spaces = rules.by === "slow" ? PYTHON_SPACES : RUST_SPACES;
    this.size = tokens.reduce((size, token) => Math.max(size, token.id + 1), vocabulary.pieces.length);
    const special = tokens.filter((token) => token.special);
    this.specialIds = new Map(special.map(({ text, id }) => [text, id]));
    this.specials = special.map((token) => token.text).sort((a, b) => b.length - a.length);

    const isLate = (token: AddedToken) => rules.by !== "slow" && token.normalized && !token.special;
    const early = tokens.filter((token) => !isLate(token));
    this.written = new AddedTokens(
      // Others are put back into the text, with the white space after them.
      early.map((token) => (token.special ? token : { ...token, stripRight: false })),
      this.spaces,
    );
    this.typed = new AddedTokens(
      early.filter((token) => !token.special),
      this.spaces,
    );
    // What the normalizer makes of a token is what is looked for, and what decoding shows.
    const shown = tokens.map((token) =>
      isLate(token) && rules.by === "normalizer"
        ? { ...token, text: this.normalize(token.text, true) }
        : token,
    );
    this.normalized = new AddedTokens(shown.filter(isLate), this.spaces);
    this.encoder = new Encoder(vocabulary);
    this.decodeTable = new DecodeTable(vocabulary, shown, this.size);
  }

  encode(text: string, options: EncodeOptions = {}): number[] {
    checkOptions(options, ["bos", "special"]);
    const ids = this.encodeSpans([{ text, special: options.special ?? false }]);
    return options.bos ? [this.bosId].concat(ids) : ids;
  }

  encodeSpans(spans: readonly (Span | null)[]): number[] {
    const ids: number[] = [];
    let run: Segment[] = [];
    for (const span of spans) {
      if (span === null) {
        this.encodeRun(run, ids);
        run = [];
      } else if (span.special) {
        for (const segment of this.written.split(span.text)) {
          append(run, typeof segment === "object" && !segment.special ? segment.text : segment);
        }
      } else {
        append(run, span.text);
      }
    }
    this.encodeRun(run, ids);
    return ids;
  }

  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const decoder = this.stream(options);
    const parts = ids.map((id) => decoder.push(id));
    parts.push(decoder.end());
    return parts.join("");
  }

  stream(options: DecodeOptions = {}): StreamDecoder {
    checkOptions(options, ["special"]);
    return new PieceDecoder(this.decodeTable, options.special ?? false);
  }

  specialId(text: string): number | undefined {
    return this.specialIds.get(text);
  }

  private encodeRun(run: readonly Segment[], ids: number[]): void {
    const { by, prefix } = this.rules;
    const segments = run.flatMap((part, index) => {
      if (typeof part !== "string") return part;
      // Without its legacy behaviour the slow tokenizer makes spaces of what stands for one.
      const text = by === "slow" && prefix !== "each" ? part.replaceAll(SPACE, " ") : part;
      return this.typed.split(stripAfter(text, run[index - 1], this.spaces));
    });
    const slowFirst = by === "slow" && prefix === "first" && segments.length > 0;
    if (slowFirst) {
      // The slow tokenizer writes the space into the text, where a token may follow it at once.
      if (typeof segments[0] === "string") segments[0] = SPACE + segments[0];
      else segments.unshift(SPACE);
    }
    stripBefore(segments, this.spaces);
    if (slowFirst && segments[0] === SPACE && typeof segments[1] === "object" && segments[1].role) {
      segments.shift();
    }
    for (const [index, segment] of segments.entries()) {
      if (typeof segment !== "string") ids.push(segment.id);
      else this.encodeText(segment, index === 0, ids);
    }
  }

  /** Appends the ids of one stretch between added tokens. `first`: whether it begins the text. */
  private encodeText(text: string, first: boolean, ids: number[]): void {
    const { by, prefix } = this.rules;
    if (text === "") return;
    if (by === "slow") {
      this.encoder.encode(text, prefix === "each", ids);
      return;
    }
    const segments = this.normalized.split(by === "normalizer" ? this.normalize(text, first) : text);
    stripBefore(segments, this.spaces);
    for (const [index, segment] of segments.entries()) {
      if (typeof segment !== "string") {
        ids.push(segment.id);
        continue;
      }
      const due = by === "metaspace" && this.isDue(first && index === 0);
      this.encoder.encode(segment, due && !segment.startsWith(" ") && !segment.startsWith(SPACE), ids);
    }
  }

  private isDue(first: boolean): boolean {
    return this.rules.prefix === "each" || (first && this.rules.prefix === "first");
  }

  private normalize(text: string, first: boolean): string {
    return (this.isDue(first) ? SPACE : "") + text.replaceAll(" ", SPACE);
  }
}

/** Adds a segment to a run; text joins the text before it. */
function append(run: Segment[], segment: Segment): void {
  const last = run.at(-1);
  if (segment === "") return;
  if (typeof segment === "string" && typeof last === "string") run[run.length - 1] = last + segment;
  else run.push(segment);
}

function checkOptions(options: object, known: readonly string[]): void {
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key)) {
      throw new OptionError(`The tokenizer has no option ${show(key)}; it has ${known.join(", ")}.`);
    }
    if (value !== undefined && typeof value !== "boolean") {
      throw new OptionError(`The tokenizer's option ${key} is true or false, not ${show(value)}.`);
    }
  }
}
