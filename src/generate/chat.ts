import { ConfigError, OptionError } from "../errors.ts";
import { show } from "../show.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { ChatTemplate, type Message, ROLES, ZIYA_TEMPLATE } from "./template.ts";

/** Turns messages into prompt ids: by the checkpoint's own template, or in Ziya's format. */
export class ChatFormat {
  private readonly tokenizer: Tokenizer;
  private readonly template: ChatTemplate | undefined;
  /** Ziya's format knows two roles, in turn. */
  private readonly alternates: boolean;

  /**
   * @param source The checkpoint's `chat_template`, if it has one.
   * @throws ConfigError when it is no Jinja, or no template for chats.
   */
  constructor(tokenizer: Tokenizer, source: string | undefined) {
    const hasZiyaTurns = ["<human>", "<bot>"].every((token) => tokenizer.specialId(token) !== undefined);
    this.tokenizer = tokenizer;
    this.alternates = source === undefined;
    this.template =
      source !== undefined
        ? new ChatTemplate(source)
        : hasZiyaTurns
          ? new ChatTemplate(ZIYA_TEMPLATE)
          : undefined;
    this.template?.check(tokenizer);
  }

  /**
   * The ids of the prompt that asks for the next answer.
   * @throws OptionError for messages that cannot be put to this model, ConfigError when it has no chat format.
   */
  encode(messages: readonly Message[]): number[] {
    this.check(messages);
    return this.encodeChecked(messages);
  }

  /**
   * As `encode`, but drops turns from the beginning until the ids are at most `most`: whole turns, each a user's
   * message with the answer to it. A system message at the beginning and the last message stay, so that the ids of
   * a long last message can be more.
   */
  encodeLast(messages: readonly Message[], most: number): number[] {
    this.check(messages);
    const system = messages.slice(0, messages[0]?.role === "system" ? 1 : 0);
    const turns = messages.flatMap(({ role }, i) => (role === "user" ? [i] : []));
    const whole = this.encodeChecked(messages);
    if (whole.length <= most || turns.length === 1) return whole;
    const encodeFrom = (turn: number) => this.encodeChecked([...system, ...messages.slice(turns[turn])]);
    // Each turn dropped makes the prompt shorter: bisect for the fewest.
    let [low, high] = [1, turns.length - 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (encodeFrom(middle).length <= most) high = middle;
      else low = middle + 1;
    }
    return encodeFrom(high);
  }

  private encodeChecked(messages: readonly Message[]): number[] {
    if (!this.template) {
      throw new ConfigError(
        "This model has no chat template and no <human> and <bot> tokens: it was not trained to chat. Let it continue a text with generate().",
      );
    }
    return this.tokenizer.encodeSpans(this.template.render(messages, this.tokenizer));
  }

  private check(messages: unknown): asserts messages is readonly Message[] {
    if (!Array.isArray(messages) || messages.length === 0) {
      throw new OptionError(
        `messages is ${show(messages)}; wanted a list such as [{ role: "user", content: "你好" }].`,
      );
    }
    messages.forEach(checkMessage);
    const roles = (messages as readonly Message[]).map(({ role }) => role);
    if (roles.at(-1) !== "user") {
      throw new OptionError(`The last message is the ${roles.at(-1)}'s; wanted the user's, to be answered.`);
    }
    if (!this.alternates) return;
    if (roles.includes("system")) {
      throw new OptionError(
        "Ziya was trained without a system role; put the instruction at the beginning of the first user message.",
      );
    }
    const wrong = roles.findIndex((role, i) => role !== (i % 2 === 0 ? "user" : "assistant"));
    if (wrong >= 0) {
      throw new OptionError(
        `messages[${wrong}] is the ${roles[wrong]}'s; wanted user and assistant in turn, the user first.`,
      );
    }
  }
}

/** @throws OptionError for what is no message. */
export function checkMessage(message: unknown, index: number): void {
  if (typeof message !== "object" || message === null) {
    throw new OptionError(`messages[${index}] is ${show(message)}; wanted an object with role and content.`);
  }
  const { role, content, ...rest } = message as Record<string, unknown>;
  if (!(ROLES as readonly unknown[]).includes(role)) {
    throw new OptionError(
      `messages[${index}] has role ${show(role)}; wanted ${ROLES.map(show).join(" or ")}.`,
    );
  }
  if (typeof content !== "string") {
    throw new OptionError(`messages[${index}] has content ${show(content)}; wanted a string.`);
  }
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) {
    throw new OptionError(`messages[${index}] has ${show(unknown)}; wanted role and content only.`);
  }
}
