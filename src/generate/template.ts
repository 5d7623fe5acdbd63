import { ConfigError, OptionError, ZiyaError } from "../errors.ts";
import { show } from "../show.ts";
import type { Span, Tokenizer } from "../tokenizer/tokenizer.ts";
import { Bound } from "./jinja/arguments.ts";
import { Budget } from "./jinja/budget.ts";
import { formatTime } from "./jinja/clock.ts";
import { Interpreter } from "./jinja/interpreter.ts";
import { type Node, parseTemplate } from "./jinja/nodes.ts";
import { ORIGIN, Text } from "./jinja/text.ts";
import { Callable, Dict, List, type Value } from "./jinja/values.ts";

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

/** What is shown of a template's own words. */
const LONGEST_REASON = 500;

/** A chat template, read once and rendered for each prompt. */
export class ChatTemplate {
  private readonly program: Node;

  /** @throws ConfigError when the template is no Jinja. */
  constructor(source: string) {
    if (source.length > LONGEST_TEMPLATE) {
      throw new ConfigError(
        `The chat template has ${source.length} characters; wanted at most ${LONGEST_TEMPLATE}.`,
      );
    }
    try {
      this.program = parseTemplate(source);
    } catch (error) {
      throw new ConfigError(`The chat template is no Jinja: ${(error as Error).message}`, { cause: error });
    }
  }

  /**
   * The prompt that asks for the next answer, as spans for `Tokenizer.encodeSpans`. Only special strings that the
   * template itself wrote are special: every character keeps who wrote it through all that the template does with it,
   * and a span is special when nothing of it comes from the messages.
   * @throws OptionError when the template refuses the messages; ConfigError when it fails, takes more steps than a
   * template may, or writes nothing of what the messages say.
   */
  render(messages: readonly Message[], tokenizer: Tokenizer): (Span | null)[] {
    const prompt = this.run(messages, tokenizer);
    if (!prompt.isTyped && messages.some(({ content }) => content.trim() !== "")) {
      throw new ConfigError(
        `The model's chat template writes ${show(prompt.value)} and nothing of what the messages say; wanted a template that puts the messages into the prompt. Is chat_template.jinja another file, such as a page that a server sent for it?`,
      );
    }
    return spansOf(prompt);
  }

  /**
   * Renders one message, so that a file that is no chat template, or one that takes too long, is told at load. What a
   * template refuses, or uses that is not supported, is left for a chat: a text can be continued all the same.
   * @throws ConfigError
   */
  check(tokenizer: Tokenizer): void {
    try {
      this.render([{ role: "user", content: "x" }], tokenizer);
    } catch (error) {
      if (!(error instanceof ZiyaError) || error.cause === undefined) throw error;
    }
  }

  private run(messages: readonly Message[], tokenizer: Tokenizer): Text {
    const nameOf = (id: number) => {
      const name = tokenizer.specials.find((special) => tokenizer.specialId(special) === id);
      return Text.of(name ?? "");
    };
    const listed = messages.map(({ role, content }) => {
      const entries: [string, Text][] = [
        ["role", Text.of(role)],
        ["content", Text.of(content, ORIGIN.message)],
      ];
      return new Dict(entries.map(([key, value]) => [Text.of(key), value]));
    });
    const budget = new Budget(messages.reduce((sum, { content }) => sum + content.length, 0));
    const variables: Readonly<Record<string, Value>> = {
      messages: new List(listed),
      bos_token: nameOf(tokenizer.bosId),
      eos_token: nameOf(tokenizer.eosId),
      add_generation_prompt: true,
      // As transformers has it for a plain chat: templates ask whether they are none.
      tools: null,
      documents: null,
      boundary: Text.of("|", ORIGIN.boundary),
      raise_exception: new Callable((args) => {
        throw new Refusal(new Bound("raise_exception()", ["message"], args).text("message").value);
      }),
      strftime_now: new Callable((args) => {
        const format = new Bound("strftime_now()", ["format"], args).text("format");
        budget.charge(format.length);
        return Text.of(
          formatTime(format.value, new Date()),
          format.isTyped ? ORIGIN.message : ORIGIN.template,
        );
      }),
    };
    try {
      const prompt = new Interpreter(budget).run(this.program, variables);
      // What is to be cut into spans and tokens is bounded as well.
      budget.charge(prompt.length);
      return prompt;
    } catch (error) {
      if (error instanceof ZiyaError) throw error;
      const message = (error as Error).message.slice(0, LONGEST_REASON);
      throw error instanceof Refusal
        ? new OptionError(`The model's chat template refused the messages: ${message}`, { cause: error })
        : new ConfigError(`The model's chat template cannot be rendered: ${message}.`, { cause: error });
    }
  }
}

/** What a template's `raise_exception` throws. */
class Refusal extends Error {}

/** Runs of characters by who wrote them; a boundary is null. */
function spansOf({ value, origins }: Text): (Span | null)[] {
  return [...origins.matchAll(/t+|m+|\|/g)].map(({ 0: run, index }) =>
    run === ORIGIN.boundary
      ? null
      : { text: value.slice(index, index + run.length), special: run[0] === ORIGIN.template },
  );
}
