import { Template } from "@huggingface/jinja";
import { ConfigError, OptionError } from "../errors.ts";
import type { Span, Tokenizer } from "../tokenizer/tokenizer.ts";

/** One turn of a chat. What a person or the model wrote is data: special strings in it stay ordinary text. */
export interface Message {
  readonly role: (typeof ROLES)[number];
  readonly content: string;
}

export const ROLES = ["system", "user", "assistant"] as const;

/**
 * Ziya's prompt as Jinja, as its fine-tuning code builds it: a turn is `<human>:` + question + newline + `<bot>:`,
 * then the answer, tokenised on its own (hence `boundary`), then `</s>`. The question and the answer are stripped.
 */
export const ZIYA_TEMPLATE = `{{ bos_token }}
{%- for message in messages %}
{%- if message.role == 'user' %}
{{- '<human>:' + message.content.strip() + '\\n<bot>:' }}
{%- else %}
{{- boundary + message.content.strip() + eos_token }}
{%- endif %}
{%- endfor %}`;

/** Templates of real checkpoints have a few thousand characters. */
const LONGEST_TEMPLATE = 100_000;

/** A chat template, read once and rendered for each prompt. */
export class ChatTemplate {
  private readonly source: string;
  private readonly template: Template;

  /** @throws ConfigError when the template is no Jinja. */
  constructor(source: string) {
    if (source.length > LONGEST_TEMPLATE) {
      throw new ConfigError(
        `The chat template has ${source.length} characters; wanted at most ${LONGEST_TEMPLATE}.`,
      );
    }
    this.source = source;
    try {
      this.template = new Template(source);
    } catch (error) {
      throw new ConfigError(`The chat template is no Jinja: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * The prompt that asks for the next answer, as spans for `Tokenizer.encodeSpans`. Only special strings that the
   * template itself wrote are special. To tell, each character of a message that a special string could begin with
   * goes through the template as a marker: one character that no message has, so that trimming and measuring work
   * as on the text itself.
   * @throws OptionError when the template refuses the messages.
   */
  render(messages: readonly Message[], tokenizer: Tokenizer): (Span | null)[] {
    const specials = tokenizer.specials.filter((special) => special.trim() !== "");
    const firsts = [...new Set(specials.map((special) => [...special.trim()][0]!))];
    const taken = [this.source, ...specials, ...messages.map(({ content }) => content)].join("");
    const [boundary = "", ...markers] = unusedCharacters(taken, firsts.length + 1);
    const marked = new Map(firsts.map((first, i) => [first, markers[i]!]));
    const restored = new Map(firsts.map((first, i) => [markers[i]!, first]));

    const nameOf = (id: number) => specials.find((special) => tokenizer.specialId(special) === id) ?? "";
    let text: string;
    try {
      text = this.template.render({
        messages: messages.map(({ role, content }) => ({ role, content: replaceEach(content, marked) })),
        bos_token: nameOf(tokenizer.bosId),
        eos_token: nameOf(tokenizer.eosId),
        add_generation_prompt: true,
        boundary,
      });
    } catch (error) {
      throw new OptionError(
        `The model's chat template refused the messages: ${replaceEach((error as Error).message, restored)}`,
        { cause: error },
      );
    }
    return text
      .split(boundary)
      .flatMap((segment, i) => [...(i > 0 ? [null] : []), ...splitSpecials(segment, specials)])
      .map((span) => span && { ...span, text: replaceEach(span.text, restored) });
  }
}

/** Cuts text into special strings and what is between; at each place the longest special string counts. */
function splitSpecials(text: string, specials: readonly string[]): Span[] {
  if (specials.length === 0) return [{ text, special: false }];
  const alternatives = specials.toSorted((a, b) => b.length - a.length).map(escapeRegExp);
  // A capturing group makes split() keep the separators, at the odd places.
  return text
    .split(new RegExp(`(${alternatives.join("|")})`))
    .map((part, i) => ({ text: part, special: i % 2 === 1 }))
    .filter((span) => span.text !== "");
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

function replaceEach(text: string, replacements: ReadonlyMap<string, string>): string {
  if (replacements.size === 0) return text;
  const alternatives = [...replacements.keys()].map(escapeRegExp);
  return text.replace(new RegExp(alternatives.join("|"), "g"), (found) => replacements.get(found)!);
}

/** Private-use characters that a text does not have, from the 6,400 that are one UTF-16 unit. */
function unusedCharacters(text: string, count: number): string[] {
  const taken = new Set(text.match(/[\ue000-\uf8ff]/g));
  const unused: string[] = [];
  for (let code = 0xe000; code <= 0xf8ff && unused.length < count; code++) {
    const character = String.fromCharCode(code);
    if (!taken.has(character)) unused.push(character);
  }
  if (unused.length < count) {
    throw new OptionError(
      "The messages use every private-use character from U+E000 to U+F8FF; the chat template needs a few that they do not.",
    );
  }
  return unused;
}
