import { OptionError } from "../errors.ts";
import { DecodeTable, PieceDecoder, type StreamDecoder } from "./decoder.ts";
import { Encoder } from "./encoder.ts";
import type { SpecialToken } from "./special.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A stretch of text to encode. */
export interface Span {
  readonly text: string;
  /** Whether special strings (`<human>`, `</s>` …) in it become their ids. Text a person typed never does. */
  readonly special: boolean;
}

export interface EncodeOptions {
  /** Put the begin-of-sequence id in front. Default false. */
  readonly bos?: boolean;
  /** Recognise special strings in the text. Default false: the text is data. */
  readonly special?: boolean;
}

export interface DecodeOptions {
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

/** How `createTokenizer` treats the text around special strings. */
export interface SpecialRules {
  /** Whether special tokens strip the white space around them where their files say so. */
  readonly strip: boolean;
  /** Whether every stretch between special strings gets the dummy prefix (transformers' `legacy`), or only a run's first. */
  readonly prefixEach: boolean;
}

/** A tokenizer from its parts. */
export function createTokenizer(
  vocabulary: Vocabulary,
  tokens: readonly SpecialToken[],
  rules: SpecialRules,
): Tokenizer {
  return new SentencePieceTokenizer(vocabulary, tokens, rules);
}

/** A stretch of a run: text for the encoder, or a special token. */
type Segment = string | SpecialToken;

class SentencePieceTokenizer implements Tokenizer {
  readonly size: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly specials: readonly string[];
  readonly #tokens = new Map<string, SpecialToken>();
  readonly #pattern: RegExp;
  readonly #encoder: Encoder;
  readonly #decodeTable: DecodeTable;
  readonly #rules: SpecialRules;

  constructor(vocabulary: Vocabulary, tokens: readonly SpecialToken[], rules: SpecialRules) {
    this.bosId = vocabulary.bosId;
    this.eosId = vocabulary.eosId;
    this.#rules = rules;
    for (const token of tokens) this.#tokens.set(token.text, token);
    this.size = tokens.reduce((size, token) => Math.max(size, token.id + 1), vocabulary.pieces.length);
    this.specials = tokens.map((token) => token.text).sort((a, b) => b.length - a.length);
    // Alternatives are tried in order, so that at one place the longest special string wins.
    this.#pattern = new RegExp(this.specials.map(escapeRegExp).join("|"), "g");
    this.#encoder = new Encoder(vocabulary);
    const texts = new Map(tokens.map((token) => [token.id, token.text]));
    this.#decodeTable = new DecodeTable(vocabulary, texts, this.size);
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
        this.#encodeRun(run, ids);
        run = [];
      } else if (span.special) {
        for (const segment of this.#split(span.text)) append(run, segment);
      } else {
        append(run, span.text);
      }
    }
    this.#encodeRun(run, ids);
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
    return new PieceDecoder(this.#decodeTable, options.special ?? false);
  }

  specialId(text: string): number | undefined {
    return this.#tokens.get(text)?.id;
  }

  #split(text: string): Segment[] {
    const segments: Segment[] = [];
    let end = 0;
    for (const match of text.matchAll(this.#pattern)) {
      segments.push(text.slice(end, match.index), this.#tokens.get(match[0])!);
      end = match.index + match[0].length;
    }
    segments.push(text.slice(end));
    return segments;
  }

  #encodeRun(run: readonly Segment[], ids: number[]): void {
    for (const [index, segment] of run.entries()) {
      if (typeof segment !== "string") {
        ids.push(segment.id);
        continue;
      }
      const [before, after] = [run[index - 1], run[index + 1]];
      let text = segment;
      if (this.#rules.strip && typeof before === "object" && before.stripRight) text = stripStart(text);
      if (this.#rules.strip && typeof after === "object" && after.stripLeft) text = stripEnd(text);
      this.#encoder.encode(text, index === 0 || this.#rules.prefixEach, ids);
    }
  }
}

/** Adds a segment to a run; text joins the text before it. */
function append(run: Segment[], segment: Segment): void {
  const last = run.at(-1);
  if (segment === "") return;
  if (typeof segment === "string" && typeof last === "string") run[run.length - 1] = last + segment;
  else run.push(segment);
}

// White space as Python's str.strip() has it: Unicode's, and the four separators 0x1C to 0x1F. JavaScript's trim()
// knows neither those nor 0x85, and strips U+FEFF, which Python leaves.
const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LEADING = new RegExp(`^[${SPACES}]+`);
const SPACE_CHARACTER = new RegExp(`[${SPACES}]`);

function stripStart(text: string): string {
  return text.replace(LEADING, "");
}

/** From the end backwards: a regular expression with `$` would look at every run of spaces inside the text. */
function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE_CHARACTER.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function checkOptions(options: object, known: readonly string[]): void {
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key)) {
      throw new OptionError(
        `The tokenizer has no option ${JSON.stringify(key)}; it has ${known.join(", ")}.`,
      );
    }
    if (value !== undefined && typeof value !== "boolean") {
      throw new OptionError(`The tokenizer's option ${key} is true or false, not ${JSON.stringify(value)}.`);
    }
  }
}
