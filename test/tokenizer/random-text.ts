/** Texts that are hard on a tokenizer, from a seeded stream of numbers in [0, 1). */
export class RandomText {
  readonly #next: () => number;

  constructor(next: () => number) {
    this.#next = next;
  }

  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** One text: Chinese, English, code, emoji, spaces, control characters, broken surrogates, or a mix; 1 in 1,000 is long. */
  text(): string {
    if (this.below(1000) === 0) return this.pick(UNITS).repeat(10_000);
    const parts = Array.from({ length: 1 + this.below(6) }, () => this.#part());
    return parts.join(this.pick(["", "", " ", "\n"]));
  }

  #part(): string {
    const count = 1 + this.below(12);
    switch (this.below(9)) {
      case 0:
        return this.#repeat(count, () => this.#between(0x4e00, 0x9fff));
      case 1:
        return this.#repeat(count, () => `${this.pick(WORDS)}${this.pick(["", " ", " ", "  "])}`);
      case 2:
        return this.#repeat(count, () => this.pick(EMOJI));
      case 3:
        return this.#repeat(count, () => this.pick(SPACES));
      case 4:
        return this.#repeat(count, () => this.#between(0, 0x20));
      case 5:
        return this.#repeat(count, () => this.#between(0xd7f0, 0xe010));
      case 6:
        return this.pick(UNITS).repeat(count * count);
      case 7:
        return this.#repeat(count, () => String.fromCodePoint(this.below(0x110000)));
      default:
        return this.#repeat(count, () => this.pick(LITERALS));
    }
  }

  #repeat(count: number, one: () => string): string {
    return Array.from({ length: count }, one).join("");
  }

  /** One UTF-16 unit of a range, surrogates included. */
  #between(low: number, high: number): string {
    return String.fromCharCode(low + this.below(high - low));
  }
}

const WORDS = (
  "the of and to in that is was he for it with as his on be at by had not are but from or have an they which one you " +
  "llama tokenizer indivisible Strawberry naïve façade Ελλάδα Москва 12345 3.14159 don't e-mail function return null " +
  "你好 世界 人工智能 北京 西安 旅游 计划 今天 天气 怎么样"
).split(" ");

const EMOJI = [
  "🦙",
  "😀",
  "👍🏽",
  "👨\u200d👩\u200d👧\u200d👦",
  "🏳️\u200d🌈",
  "🇨🇳",
  "❤️",
  "\u200d",
  "\ufe0f",
  "🤖🧑",
];
const SPACES = [" ", " ", " ", "  ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "\u2581", "\u200b", "\ufeff"];
const UNITS = [
  "a",
  " ",
  "\n",
  "=",
  "-",
  "ab",
  "er",
  "the ",
  "中",
  "中文",
  "🦙",
  "\ud83e",
  "\udd99",
  "0",
  " \u2581",
  "é",
];
const LITERALS = [
  "<human>",
  "<bot>",
  ":",
  "<s>",
  "</s>",
  "<unk>",
  "<0x0A>",
  "<0xE4>",
  "in:",
  "\n",
  "<",
  ">",
  "0x",
  "{{",
  "\\",
];
