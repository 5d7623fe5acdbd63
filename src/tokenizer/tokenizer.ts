/** A stretch of text to encode. */
export interface Span {
  readonly text: string;
  /** Whether special strings (`<human>`, `</s>` …) in it become their ids. Text a person typed never does. */
  readonly special: boolean;
}

/** Ids to text, piece by piece: never half a character, never a lost space. */
export interface StreamDecoder {
  /** The text that `id` completes; empty while a character is unfinished. */
  push(id: number): string;
  /** What is left at the end: unfinished bytes as U+FFFD. */
  end(): string;
}

export interface EncodeOptions {
  /** Put the begin-of-sequence id in front. Default false. */
  readonly bos?: boolean;
  /** Recognise special strings in the text. Default false: the text is data. */
  readonly special?: boolean;
}

export interface Tokenizer {
  /** Pieces and added tokens: ids run from 0 to size - 1. */
  readonly size: number;
  readonly bosId: number;
  readonly eosId: number;
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Encodes runs of adjacent spans as one text each, split only at the special strings of `special` spans and at
   * `null` (a boundary: what follows is tokenised on its own, with its own dummy prefix).
   */
  encodeSpans(spans: readonly (Span | null)[]): number[];
  decode(ids: readonly number[]): string;
  stream(): StreamDecoder;
  /** The id of a special string, or undefined. */
  specialId(text: string): number | undefined;
  /** The special strings, longest first. */
  readonly specials: readonly string[];
}
