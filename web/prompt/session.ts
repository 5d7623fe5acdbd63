import type { Message } from "../../src/index.ts";
import { abortable, asDomException, notSupported, quotaExceeded } from "./errors.ts";
import { Handler } from "./events.ts";
import { type Prompt, readPrompt, withoutOldest } from "./messages.ts";
import type { Model } from "./model.ts";
import { refuseConstraint, type SessionSampling } from "./options.ts";
import type { AbortOptions, PromptInput, PromptOptions, PromptSession, SamplingMode } from "./types.ts";

/** What a session begins with. */
export interface Beginning {
  readonly model: Model;
  readonly sampling: SessionSampling;
  /** Messages that are never dropped: initial prompts, or a system message that came later. */
  readonly kept: readonly Message[];
  /** What was said since. */
  readonly turns: readonly Message[];
  /** Tokens of both. */
  readonly usage: number;
}

const NOTHING: Prompt = { messages: [], prefix: false };

/** A conversation, without the class around it that makes it. */
export abstract class Session extends EventTarget implements PromptSession {
  private readonly model: Model;
  private readonly sampling: SessionSampling;
  private kept: readonly Message[];
  private turns: readonly Message[];
  private usage: number;
  /** Settles when nothing is left of what was asked. */
  private last: Promise<void> = Promise.resolve();
  private readonly end = new AbortController();
  private readonly onOverflow = new Handler<EventTarget, Event>(this, "contextoverflow");
  private readonly onQuota = new Handler<EventTarget, Event>(this, "quotaoverflow");

  constructor({ model, sampling, kept, turns, usage }: Beginning) {
    super();
    this.model = model;
    this.sampling = sampling;
    this.kept = kept;
    this.turns = turns;
    this.usage = usage;
  }

  prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    let text = "";
    const note = (piece: string) => {
      text += piece;
    };
    return this.ask(input, options, this.signalOf(options), note).then(() => text);
  }

  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    const cancelled = new AbortController();
    const signal = AbortSignal.any([this.signalOf(options), cancelled.signal]);
    return new ReadableStream<string>({
      start: (controller) => {
        this.ask(input, options, signal, (piece) => controller.enqueue(piece)).then(
          () => controller.close(),
          (error) => controller.error(error),
        );
      },
      cancel: (reason) => cancelled.abort(reason),
    });
  }

  async append(input: PromptInput, options: AbortOptions = {}): Promise<undefined> {
    const prompt = readPrompt(input);
    if (prompt.prefix)
      throw notSupported("prefix is set in append(); only an answer goes on behind a prefix.");
    const signal = this.signalOf(options);
    await this.enqueue(signal, async () => {
      this.expectPlace(prompt);
      const ids = await this.fit(prompt, 0);
      await this.model.run(ids, signal);
      await this.note(prompt.messages);
    });
  }

  async measureContextUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    refuseConstraint(options);
    const prompt = readPrompt(input);
    const ids = this.model.idsOf([...this.kept, ...this.turns], prompt);
    return (await abortable(ids, this.signalOf(options))).length - this.usage;
  }

  measureInputUsage(input: PromptInput, options?: PromptOptions): Promise<number> {
    return this.measureContextUsage(input, options);
  }

  async clone(options: AbortOptions = {}): Promise<PromptSession> {
    this.signalOf(options).throwIfAborted();
    const { model, sampling, kept, turns, usage } = this;
    return this.make({ model, sampling, kept, turns, usage });
  }

  destroy(): undefined {
    this.end.abort(new DOMException("The session was destroyed.", "AbortError"));
  }

  get contextUsage(): number {
    return this.usage;
  }

  get inputUsage(): number {
    return this.usage;
  }

  get contextWindow(): number {
    return this.model.window;
  }

  get inputQuota(): number {
    return this.model.window;
  }

  get samplingMode(): SamplingMode {
    return this.sampling.samplingMode;
  }

  get topK(): number {
    return this.sampling.topK;
  }

  get temperature(): number {
    return this.sampling.temperature;
  }

  get oncontextoverflow(): PromptSession["oncontextoverflow"] {
    return this.onOverflow.get();
  }

  set oncontextoverflow(handler: PromptSession["oncontextoverflow"]) {
    this.onOverflow.set(handler);
  }

  get onquotaoverflow(): PromptSession["onquotaoverflow"] {
    return this.onQuota.get();
  }

  set onquotaoverflow(handler: PromptSession["onquotaoverflow"]) {
    this.onQuota.set(handler);
  }

  protected abstract make(beginning: Beginning): PromptSession;

  /** Ends with the signal. */
  protected follow(signal: AbortSignal): void {
    const stop = () => this.end.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true, signal: this.end.signal });
  }

  private signalOf({ signal }: AbortOptions): AbortSignal {
    return signal ? AbortSignal.any([this.end.signal, signal]) : this.end.signal;
  }

  private async ask(
    input: PromptInput,
    options: PromptOptions,
    signal: AbortSignal,
    give: (piece: string) => void,
  ): Promise<void> {
    refuseConstraint(options);
    const prompt = readPrompt(input);
    await this.enqueue(signal, async () => {
      this.expectPlace(prompt);
      await this.fit(prompt, this.model.reserve);
      const before = [...this.kept, ...this.turns];
      let text = "";
      for await (const piece of this.model.answer(before, prompt, { ...this.sampling.options, signal })) {
        text += piece;
        give(piece);
      }
      // An engine ends an answer that is aborted as it ends others.
      signal.throwIfAborted();
      const asked = prompt.prefix ? prompt.messages.slice(0, -1) : prompt.messages;
      const begun = prompt.prefix ? prompt.messages.at(-1)!.content : "";
      await this.note([...asked, { role: "assistant", content: begun + text }]);
    });
  }

  /** Does `work` after all that was asked before; what is aborted by then is not begun. */
  private enqueue(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const done = this.last.then(async () => {
      signal.throwIfAborted();
      await work().catch((error: unknown) => {
        throw signal.aborted ? signal.reason : asDomException(error);
      });
    });
    this.last = done.catch(() => {});
    return abortable(done, signal);
  }

  /** @throws TypeError for a system message that is not the first of all. */
  private expectPlace({ messages }: Prompt): void {
    const place = messages.findLastIndex(({ role }) => role === "system");
    if (place > 0 || (place === 0 && this.usage > 0)) {
      throw new TypeError("A system message comes later than as the first message of its session.");
    }
  }

  /**
   * Drops the oldest turns until the prompt leaves `reserve` tokens of the context.
   * @returns the ids of all that is left, with the prompt.
   * @throws QuotaExceededError, and nothing is dropped, where even without any of them no token would be left.
   */
  private async fit(prompt: Prompt, reserve: number): Promise<readonly number[]> {
    const { model, kept } = this;
    let { turns } = this;
    let ids = await model.idsOf([...kept, ...turns], prompt);
    const requested = ids.length;
    while (ids.length > model.window - Math.max(1, reserve) && turns.length > 0) {
      turns = withoutOldest(turns);
      ids = await model.idsOf([...kept, ...turns], prompt);
    }
    if (ids.length >= model.window) {
      throw quotaExceeded(
        `With what cannot be dropped the input has ${ids.length} tokens; the context holds ${model.window}, of which an answer needs at least one.`,
        requested,
        model.window,
      );
    }
    if (turns !== this.turns) {
      this.turns = turns;
      this.usage = (await model.idsOf([...kept, ...turns], NOTHING)).length;
      for (const type of ["contextoverflow", "quotaoverflow"]) this.dispatchEvent(new Event(type));
    }
    return ids;
  }

  /** Makes messages part of the conversation. */
  private async note(messages: readonly Message[]): Promise<void> {
    const isSystem = ({ role }: Message) => role === "system";
    const kept = [...this.kept, ...messages.filter(isSystem)];
    const turns = [...this.turns, ...messages.filter((message) => !isSystem(message))];
    this.usage = (await this.model.idsOf([...kept, ...turns], NOTHING)).length;
    this.kept = kept;
    this.turns = turns;
  }
}
