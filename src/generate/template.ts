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
   * template itself wrote are special. To tell, the template is rendered twice: with the messages as they are, and with
   * a marker for each UTF-16 unit of them that any special string has, a character that is nowhere else. A special
   * string among the markers holds nothing of a message. Where a template looks at what messages say (`'</think>' in
   * content`) and finds it, the two differ, and nobody can tell who wrote what.
   * @throws OptionError when the template refuses the messages, or takes something in them for its own.
   */
  render(messages: readonly Message[], tokenizer: Tokenizer): (Span | null)[] {
    const specials = tokenizer.specials.filter((special) => special.trim() !== "");
    // White space stays, so that trimming works as on the text itself.
    const units = [...new Set(specials.join("").split(""))].filter((unit) => unit.trim() !== "");
    const taken = [this.source, ...specials, ...messages.map(({ content }) => content)].join("");
    const [boundary = "", ...markers] = unusedCharacters(taken, units.length + 1);
    const mark = replacer(units, markers);
    const restore = replacer(markers, units);

    const nameOf = (id: number) => specials.find((special) => tokenizer.specialId(special) === id) ?? "";
    const variables = {
      bos_token: nameOf(tokenizer.bosId),
      eos_token: nameOf(tokenizer.eosId),
      add_generation_prompt: true,
      // As transformers has it for a plain chat: templates ask whether they are none.
      tools: null,
      documents: null,
      boundary,
    };
    let text: string;
    try {
      text = this.template.render({ ...variables, messages });
    } catch (error) {
      throw new OptionError(`The model's chat template refused the messages: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const marked = this.tryRender({
      ...variables,
      messages: messages.map(({ role, content }) => ({ role, content: mark(content) })),
    });
    if (marked === undefined || restore(marked) !== text) {
      throw new OptionError(
        "The model's chat template acts on something that the messages say, such as a tag of its own, so that what was typed cannot be told from what the template wrote. Take tags out of the messages, or build the prompt yourself for generate().",
      );
    }
    return marked
      .split(boundary)
      .flatMap((segment, i) => [...(i > 0 ? [null] : []), ...splitSpecials(segment, specials)])
      .map((span) => span && { ...span, text: restore(span.text) });
  }

  private tryRender(variables: Record<string, unknown>): string | undefined {
    try {
      return this.template.render(variables);
    } catch {
      return undefined;
    }
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

/** Puts each of `by` in the place of its counterpart in `units`: UTF-16 units, so that lengths stay. */
function replacer(units: readonly string[], by: readonly string[]): (text: string) => string {
  if (units.length === 0) return (text) => text;
  const replacements = new Map(units.map((unit, i) => [unit, by[i]!]));
  const any = new RegExp(`[${units.map(escapeRegExp).join("")}]`, "g");
  return (text) => text.replace(any, (unit) => replacements.get(unit)!);
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
