import { type ByteSource, blobSource } from "../checkpoint/source.ts";
import { ContextOverflowError, OptionError } from "../errors.ts";
import type { CalibrationOptions, Importance } from "../model/calibrate.ts";
import { show } from "../show.ts";
import type { StreamDecoder } from "../tokenizer/decoder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { GenerationStream } from "./answer.ts";
import type { ChatFormat } from "./chat.ts";
import { Conversation } from "./conversation.ts";
import {
  type GenerationDefaults,
  type GenerationOptions,
  type ResolvedOptions,
  resolveOptions,
} from "./options.ts";
import { type EngineModel, type PlacedModel, Recovery, type RecoveryOptions } from "./recovery.ts";
import { withRoom } from "./room.ts";
import { makeSampler } from "./sampler.ts";
import { restoreConversation, saveConversation } from "./saved.ts";
import { Scheduler, type SchedulerOptions } from "./scheduler.ts";
import { score } from "./score.ts";
import type { Message } from "./template.ts";

export interface EngineParts<Model extends EngineModel> extends PlacedModel<Model>, RecoveryOptions<Model> {
  readonly tokenizer: Tokenizer;
  /** Turns messages into prompt ids. */
  readonly format: ChatFormat;
  /** Whether a plain prompt begins with the begin-of-sequence id. */
  readonly addBos: boolean;
  /** Whether it ends with the end-of-sequence id, as some tokenizers have it. Default false. */
  readonly addEos?: boolean;
  readonly defaults: GenerationDefaults;
  /** Ids that end an answer. `<human>` ends one as well, where the tokenizer has it. */
  readonly eosIds: readonly number[];
  /** How many answers it gives at once, and how many more may wait. */
  readonly scheduling?: SchedulerOptions;
  /** Releases what the engine holds besides the model and its device. */
  readonly release?: () => void;
}

/**
 * Messages or text in, text out. It gives several answers at a time, and more wait their turn; what they have in common is in
 * the KV cache once.
 */
export class Engine<Model extends EngineModel = EngineModel> {
  readonly tokenizer: Tokenizer;
  readonly defaults: GenerationDefaults;
  private readonly parts: Pick<EngineParts<Model>, "addBos" | "addEos" | "release">;
  private readonly format: ChatFormat;
  private readonly stopIds: ReadonlySet<number>;
  private readonly recovery: Recovery<Model>;
  private readonly scheduler: Scheduler;

  constructor(parts: EngineParts<Model>) {
    const { addBos, addEos = false, release = () => {} } = parts;
    // No more than that: a model whose device is lost is to be collected.
    this.parts = { addBos, addEos, release };
    this.tokenizer = parts.tokenizer;
    this.defaults = parts.defaults;
    this.format = parts.format;
    const { model, snapshots, need, loss, free, reopen, onDeviceLost } = parts;
    this.recovery = new Recovery<Model>({ model, snapshots, need, loss, free }, { reopen, onDeviceLost });
    this.scheduler = new Scheduler(this.recovery, parts.scheduling);
    const human = parts.tokenizer.specialId("<human>");
    this.stopIds = new Set(human === undefined ? parts.eosIds : [...parts.eosIds, human]);
  }

  /** The model as it is now: another one after its device was lost. */
  get model(): Model {
    return this.recovery.model;
  }

  /**
   * Answers the last message. What messages say is data: special strings in them are ordinary text. Nothing runs until
   * the stream is read, which throws BusyError when too many others wait.
   * @throws OptionError, ConfigError for a model that does not chat, ContextOverflowError.
   */
  chat(messages: readonly Message[], options: GenerationOptions = {}): GenerationStream {
    const resolved = resolveOptions(options, this.defaults);
    return this.stream(this.checkIds(this.promptOf(messages, resolved)), resolved, () =>
      this.tokenizer.stream(),
    );
  }

  /** A conversation that begins with these messages, such as a system message: none by default. */
  conversation(messages: readonly Message[] = []): Conversation {
    return new Conversation(
      {
        answer: (asked, options) => this.chat(asked, options),
        save: (said, options) => this.saved(said, options),
      },
      messages,
    );
  }

  /**
   * The bytes of a conversation for restore(), as Conversation.bytes() gives them: these messages, with what the KV cache holds
   * of an answer to them by these options.
   * @throws ConversationError, or what reading the GPU throws.
   */
  saved(
    messages: readonly Message[],
    options: GenerationOptions = {},
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    const resolved = resolveOptions(options, this.defaults);
    const prompt = this.promptOf([...messages, { role: "user", content: "?" }], resolved);
    this.savedParts();
    return this.save(messages, prompt);
  }

  /**
   * Goes on with a conversation that was saved, here or elsewhere: what it had in the KV cache is there again.
   * @throws ConversationError for what is none, is damaged, or is of another model, tokenizer or kind of cache, in one
   * sentence; ContextOverflowError when there is no room for it.
   */
  async restore(saved: Blob | ByteSource): Promise<Conversation> {
    const source = "arrayBuffer" in saved ? blobSource("The conversation", saved) : saved;
    return this.conversation(await this.retried(() => restoreConversation(this.savedParts(), source)));
  }

  /** The prompt ids that `chat` begins with. */
  encodeChat(messages: readonly Message[]): number[] {
    return this.format.encode(messages);
  }

  /**
   * Continues a text, which is data as in `chat`, or token ids, which are taken as they are.
   * @throws OptionError, ContextOverflowError.
   */
  generate(prompt: string | readonly number[], options: GenerationOptions = {}): GenerationStream {
    const resolved = resolveOptions(options, this.defaults);
    let ids = this.checkIds(typeof prompt === "string" ? this.encodePrompt(prompt) : prompt);
    const room = this.room(resolved);
    if (resolved.overflow === "truncate" && ids.length > room) {
      const head = ids[0] === this.tokenizer.bosId ? ids.slice(0, 1) : [];
      ids = [...head, ...ids.slice(ids.length - room + head.length)];
    }
    // The decoder has read the prompt: the answer continues it, spaces and unfinished characters included.
    return this.stream(ids, resolved, () => {
      const decoder = this.tokenizer.stream();
      for (const id of ids) decoder.push(id);
      return decoder;
    });
  }

  /** Raw logits of every position, as `EngineModel.score` gives them. @throws OptionError, ContextOverflowError. */
  async *logits(tokens: readonly number[]): AsyncGenerator<Float32Array> {
    yield* score(this.scheduler, this.checkIds(tokens));
  }

  /**
   * As `EngineModel.calibrate`, between two passes of those who are answered; begun again where the device is lost in it.
   * @throws OptionError when there are no tokens, ContextOverflowError.
   */
  async calibrate(
    windows: Iterable<readonly number[]>,
    options: CalibrationOptions = {},
  ): Promise<Importance> {
    const all = Array.from(windows, (window) => this.checkIds(window));
    const measure = (model: EngineModel) => model.calibrate(all, options);
    const importance = await this.retried(() => withRoom(this.scheduler, all, measure, options.signal));
    this.scheduler.noteProgress();
    return importance;
  }

  /** Runs what needs the model for itself, between two passes of those who are answered. */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.scheduler.run(work);
  }

  /** Releases the model and its device. */
  destroy(): void {
    this.recovery.destroy();
    this.parts.release?.();
  }

  private promptOf(messages: readonly Message[], options: ResolvedOptions): number[] {
    return options.overflow === "truncate"
      ? this.format.encodeLast(messages, this.room(options))
      : this.format.encode(messages);
  }

  /** As saveConversation(), of a model that is there. */
  private async *save(said: readonly Message[], prompt: readonly number[]) {
    await this.scheduler.ready();
    yield* saveConversation(this.savedParts(), said, prompt);
  }

  /** What `work` comes to, begun again where the device is lost in it. */
  private async retried<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.scheduler.ready();
      try {
        return await work();
      } catch (error) {
        if (!(await this.scheduler.recovers(error))) throw error;
      }
    }
  }

  private savedParts() {
    const { tokenizer, scheduler } = this;
    const { model, snapshots } = this.recovery;
    if (snapshots) return { model, tokenizer, snapshots, scheduler };
    throw new OptionError(
      "This engine's model has no snapshots of its KV cache: loadEngine() makes one that has.",
    );
  }

  private stream(
    prompt: readonly number[],
    options: ResolvedOptions,
    decoder: () => StreamDecoder,
  ): GenerationStream {
    const contextLength = this.longest(options);
    if (prompt.length === 0) throw new OptionError("The prompt has no tokens; wanted at least one.");
    if (prompt.length >= contextLength && contextLength < this.model.contextLength) {
      throw new ContextOverflowError(
        `The prompt has ${prompt.length} tokens; the model's generation_config.json wants at most ${contextLength} together with the answer (max_length). Give max_tokens, or shorten the prompt.`,
      );
    }
    if (prompt.length >= contextLength) {
      const [what, advice] =
        options.overflow === "truncate"
          ? [
              "Without the turns that can be dropped the prompt has",
              "Shorten the last message or the system message, or load the model with a longer context.",
            ]
          : [
              "The prompt has",
              'Shorten the prompt, load the model with a longer context, or set overflow to "truncate".',
            ];
      throw new ContextOverflowError(
        `${what} ${prompt.length} tokens; the context holds ${contextLength}, of which the answer needs at least one. ${advice}`,
      );
    }
    const request = {
      scheduler: this.scheduler,
      sampler: makeSampler(options),
      prompt,
      stopIds: this.stopIds,
      lookup: options.prompt_lookup_num_tokens,
      maxTokens: Math.min(options.max_tokens, contextLength - prompt.length),
      onPrefill: options.onPrefill,
    };
    const { num_beams, length_penalty, early_stopping, num_return_sequences: count } = options;
    this.scheduler.expectBeams(num_beams);
    const rules = { num_beams, length_penalty, early_stopping, count, penalties: options };
    return new GenerationStream({
      ...request,
      decoder,
      search: num_beams > 1 ? { ...request, ...rules } : undefined,
      stop: options.stop,
      hidden: this.hiddenIn(options.stop),
      signal: options.signal,
      seed: options.seed,
    });
  }

  /** By id, the special strings in stop strings that an answer does not show. */
  private hiddenIn(stops: readonly string[]): ReadonlyMap<number, string> {
    const { tokenizer } = this;
    const named = tokenizer.specials.filter((text) => stops.some((stop) => stop.includes(text)));
    const entries = named.map((text): [number, string] => [tokenizer.specialId(text)!, text]);
    return new Map(entries.filter(([id]) => tokenizer.decode([id]) === ""));
  }

  /** The most tokens of a prompt that is to be truncated: see `GenerationOptions.overflow`. */
  private room(options: ResolvedOptions): number {
    const contextLength = this.longest(options);
    return contextLength - Math.min(options.max_tokens, Math.ceil(contextLength / 4));
  }

  /** The most tokens of a prompt and its answer. */
  private longest({ max_length: maxLength }: ResolvedOptions): number {
    return Math.min(this.model.contextLength, maxLength);
  }

  private encodePrompt(prompt: string): number[] {
    const ids = this.tokenizer.encode(prompt, { bos: this.parts.addBos });
    return this.parts.addEos ? ids.concat(this.tokenizer.eosId) : ids;
  }

  /** A tokenizer may have added tokens above the model's rows. */
  private checkIds(prompt: readonly number[]): number[] {
    const size = Math.min(this.tokenizer.size, this.model.tokenCount);
    if (!Array.isArray(prompt)) {
      throw new OptionError(`The prompt is ${show(prompt)}; wanted a string or a list of token ids.`);
    }
    const wrong = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= size);
    if (wrong !== undefined) {
      throw new OptionError(
        `The prompt has the token id ${show(wrong)}; wanted integers from 0 to ${size - 1}.`,
      );
    }
    return [...prompt];
  }
}
