import { expect } from "vitest";
import { OptionError } from "../../src/errors.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import type { GenerationOptions } from "../../src/generate/options.ts";
import type { Message } from "../../src/generate/template.ts";
import { createLanguageModel } from "../../web/prompt/language-model.ts";
import type { CreateOptions, PromptEngine } from "../../web/prompt/types.ts";

const codes = (text: string) => Array.from(text, (character) => character.codePointAt(0)!);
const PER_MESSAGE = 2;

/**
 * A worker's engine without a model. A prompt has a token a character and two a message; the answer to "x" is "<x>", a
 * character a turn of the event loop, and behind ids it goes on with "…".
 */
export function scriptedEngine({ window = 100, hasSystem = false } = {}) {
  const asked: { messages?: readonly Message[]; ids?: readonly number[]; options: GenerationOptions }[] = [];
  async function* say(text: string, { signal, max_tokens: most = window }: GenerationOptions) {
    for (const piece of Array.from(text).slice(0, most)) {
      await new Promise((resolve) => setTimeout(resolve));
      // As an engine's: it ends, and says nothing of it.
      if (signal?.aborted) return;
      yield piece;
    }
  }
  const engine = {
    info: { context: window, defaults: CARD_DEFAULTS },
    async encodeChat(messages: readonly Message[]) {
      const roles = messages.map(({ role }) => role);
      const turns = roles[0] === "system" && hasSystem ? roles.slice(1) : roles;
      if (turns.at(-1) !== "user" || turns.some((role, i) => role !== (i % 2 ? "assistant" : "user"))) {
        throw new OptionError(`The roles are ${roles.join()}.`);
      }
      return messages.flatMap(({ content }) => [...Array(PER_MESSAGE).fill(1), ...codes(content)]);
    },
    encode: async (text: string) => codes(text),
    chat(messages: readonly Message[], options: GenerationOptions = {}) {
      asked.push({ messages, options });
      return say(`<${messages.at(-1)!.content}>`, options);
    },
    generate(ids: readonly number[], options: GenerationOptions = {}) {
      asked.push({ ids, options });
      return say("…", options);
    },
  } satisfies PromptEngine;
  return { engine, asked };
}

/** A session of an engine without a model, and what that was asked. */
export async function begin(options: CreateOptions = {}, about: Parameters<typeof scriptedEngine>[0] = {}) {
  const { engine, asked } = scriptedEngine(about);
  const session = await createLanguageModel(engine).create(options);
  return { session, asked, messages: () => asked.at(-1)!.messages };
}

/** What a promise is rejected with. */
export const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("nothing was thrown"),
    (error: unknown) => error as DOMException & { requested?: number; quota?: number; cause?: unknown },
  );
