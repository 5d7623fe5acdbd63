import type { StreamDecoder } from "../../src/tokenizer/decoder.ts";
import type { Span, Tokenizer } from "../../src/tokenizer/tokenizer.ts";

const SPECIALS = ["</s>", "<s>", "<bot>", "<human>"];
const FIRST_CHARACTER = 16;

/**
 * A tokenizer that is easy to follow: each UTF-16 unit has the id 16 + its code, the special strings have 1 to 4, and
 * each segment begins with the id 5, as a SentencePiece segment begins with its dummy prefix.
 */
export class ToyTokenizer implements Tokenizer {
  readonly size: number = FIRST_CHARACTER + 65536;
  readonly bosId = 1;
  readonly eosId = 2;
  readonly specials: readonly string[];
  static readonly PREFIX = 5;
  private readonly ids: ReadonlyMap<string, number> = new Map([
    ["<s>", 1],
    ["</s>", 2],
    ["<human>", 3],
    ["<bot>", 4],
  ]);

  constructor(specials: readonly string[] = SPECIALS) {
    this.specials = specials;
  }

  static characters(text: string): number[] {
    return text.split("").map((unit) => FIRST_CHARACTER + unit.charCodeAt(0));
  }

  specialId(text: string): number | undefined {
    return this.specials.includes(text) ? this.ids.get(text) : undefined;
  }

  encode(text: string, { bos = false, special = false } = {}): number[] {
    return [...(bos ? [this.bosId] : []), ...this.encodeSpans([{ text, special }])];
  }

  encodeSpans(spans: readonly (Span | null)[]): number[] {
    const ids: number[] = [];
    let run = "";
    const flush = () => {
      if (run) ids.push(ToyTokenizer.PREFIX, ...ToyTokenizer.characters(run));
      run = "";
    };
    for (const span of spans) {
      if (span === null) flush();
      else if (!span.special) run += span.text;
      else {
        for (const part of span.text.split(/(<\/s>|<s>|<bot>|<human>)/)) {
          const id = this.specialId(part);
          if (id === undefined) run += part;
          else {
            flush();
            ids.push(id);
          }
        }
      }
    }
    flush();
    return ids;
  }

  decode(ids: readonly number[]): string {
    const decoder = this.stream();
    return ids.map((id) => decoder.push(id)).join("") + decoder.end();
  }

  /** Holds back the first half of a surrogate pair. */
  stream(): StreamDecoder {
    let half = "";
    return {
      push: (id) => {
        const unit = half + (id < FIRST_CHARACTER ? "" : String.fromCharCode(id - FIRST_CHARACTER));
        half = /[\ud800-\udbff]$/.test(unit) ? unit : "";
        return half ? "" : unit;
      },
      end: () => (half ? "\ufffd" : ""),
    };
  }
}
