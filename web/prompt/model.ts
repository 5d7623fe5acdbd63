import type { GenerationDefaults, GenerationOptions, Message } from "../../src/index.ts";
import { notSupported } from "./errors.ts";
import { inTurns, type Prompt } from "./messages.ts";
import type { PromptEngine } from "./types.ts";

const PROBE: Message = { role: "user", content: "x" };

/** An engine as sessions see it, in this thread or in a worker. */
export class Model {
  /** Tokens that a prompt and its answer may have together. */
  readonly window: number;
  readonly defaults: GenerationDefaults;
  private readonly engine: PromptEngine;
  private readonly hasSystem: boolean;

  /** @throws NotSupportedError for a model that does not chat. */
  static async of(engine: PromptEngine): Promise<Model> {
    const takes = async (...messages: readonly Message[]) => {
      try {
        await engine.encodeChat(messages);
        return true;
      } catch (error) {
        const { code, message } = error as { code?: unknown; message: string };
        if (code === "config") throw notSupported(message);
        if (code === "option") return false;
        throw error;
      }
    };
    return new Model(engine, await takes({ role: "system", content: "x" }, PROBE));
  }

  private constructor(engine: PromptEngine, hasSystem: boolean) {
    this.engine = engine;
    this.hasSystem = hasSystem;
    this.window = "info" in engine ? engine.info.context : engine.model.contextLength;
    this.defaults = ("info" in engine ? engine.info : engine).defaults;
  }

  /** Tokens that an answer should find room for: as many as the engine's own `overflow: "truncate"` leaves. */
  get reserve(): number {
    return Math.min(this.defaults.max_tokens, Math.ceil(this.window / 4));
  }

  /** The ids of a prompt, behind what was said before; of nothing there are none. */
  async idsOf(before: readonly Message[], { messages, prefix }: Prompt): Promise<readonly number[]> {
    const all = [...before, ...messages];
    if (all.length === 0) return [];
    if (!prefix) return this.engine.encodeChat(inTurns(all, this.hasSystem));
    const asked = await this.engine.encodeChat(inTurns(all.slice(0, -1), this.hasSystem));
    return [...asked, ...(await this.encode(all.at(-1)!.content))];
  }

  /** Answers as `Engine.chat()` does; behind a prefix as `Engine.generate()`, since no template leaves a turn open. */
  async *answer(
    before: readonly Message[],
    prompt: Prompt,
    options: GenerationOptions,
  ): AsyncGenerator<string, void> {
    if (prompt.prefix) yield* this.engine.generate(await this.idsOf(before, prompt), options);
    else yield* this.engine.chat(inTurns([...before, ...prompt.messages], this.hasSystem), options);
  }

  /** Runs ids, so that a prompt that begins like them finds them in the KV cache. */
  async run(ids: readonly number[], signal: AbortSignal): Promise<void> {
    for await (const _ of this.engine.generate(ids, { max_tokens: 1, temperature: 0, signal }));
    signal.throwIfAborted();
  }

  private encode(text: string): number[] | Promise<number[]> {
    return "info" in this.engine ? this.engine.encode(text) : this.engine.tokenizer.encode(text);
  }
}
