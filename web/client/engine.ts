import { revive } from "../../src/failure.ts";
import { Conversation as RemoteConversation } from "../../src/generate/conversation.ts";
import { resolveOptions } from "../../src/generate/options.ts";
import {
  type AnswerStream,
  type Conversation,
  type GenerationOptions,
  type Message,
  OptionError,
} from "../../src/index.ts";
import type {
  BenchmarkOptions,
  BenchmarkReport,
  EngineInfo,
  ModelSource,
  WebEngine,
  WebOptions,
} from "../api.ts";
import type { LossEvent, Prompt } from "../protocol.ts";
import { RemoteAnswer } from "./answer.ts";
import { Link } from "./link.ts";
import { absolute } from "./source.ts";
import { isRunning, startWorker } from "./start.ts";

/**
 * Loads a model in a worker of its own, so that the page never waits for it. One with a URL is kept in the browser's
 * storage, and asks nothing of the network the next time.
 * @throws what Node's `load` throws, and StorageError when the browser has no room.
 */
export async function loadEngine(source: ModelSource, options: WebOptions = {}): Promise<WebEngine> {
  const { signal, onProgress, onDeviceLost, worker, ...plain } = options;
  signal?.throwIfAborted();
  const link = new Link(worker ? await given(worker()) : await startWorker());
  try {
    const calls = { signal, onEvent: onProgress };
    const info = await link.ask("load", [absolute(source), plain], calls);
    if (onDeviceLost) void watch(link, onDeviceLost);
    return new RemoteEngine(link, info);
  } catch (error) {
    link.end(error as Error);
    throw error;
  }
}

async function given(worker: Worker): Promise<Worker> {
  if (await isRunning(worker)) return worker;
  throw new OptionError("The worker that the option `worker` gave does not run the package's worker.js.");
}

/** Tells of losses of the device, as long as there is a worker. */
async function watch(link: Link, onDeviceLost: NonNullable<WebOptions["onDeviceLost"]>): Promise<void> {
  let settle = { resolve: () => {}, reject: (_: unknown) => {} };
  const onEvent = (event: LossEvent) => {
    if (event.kind === "recovered") return settle.resolve();
    if (event.kind === "gone") return settle.reject(revive(event.failure));
    const recovered = new Promise<void>((resolve, reject) => {
      settle = { resolve, reject };
    });
    // Answers have the error, whoever else listens.
    recovered.catch(() => {});
    onDeviceLost(revive(event.failure), recovered);
  };
  await link.ask("watch", [], { onEvent }).catch((error: unknown) => settle.reject(error));
}

class RemoteEngine implements WebEngine {
  readonly info: EngineInfo;
  private readonly link: Link;

  constructor(link: Link, info: EngineInfo) {
    this.link = link;
    this.info = info;
  }

  chat(messages: readonly Message[], options: GenerationOptions = {}): AnswerStream {
    return this.answer({ messages }, options);
  }

  generate(prompt: string | readonly number[], options: GenerationOptions = {}): AnswerStream {
    return this.answer({ prompt }, options);
  }

  conversation(messages: readonly Message[] = []): Conversation {
    const talk = {
      answer: (asked: readonly Message[], options: GenerationOptions) => this.chat(asked, options),
      save: async function* (this: RemoteEngine, said: readonly Message[], options: GenerationOptions) {
        const { signal, onPrefill: _, ...plain } = options;
        yield* this.link.stream("save", [said, plain], signal);
      }.bind(this),
    };
    return new RemoteConversation(talk, messages);
  }

  async restore(saved: Blob): Promise<Conversation> {
    return this.conversation(await this.link.ask("restore", [saved]));
  }

  encodeChat(messages: readonly Message[]): Promise<number[]> {
    return this.link.ask("encodeChat", [messages]);
  }

  encode(text: string): Promise<number[]> {
    return this.link.ask("encode", [text]);
  }

  decode(ids: readonly number[]): Promise<string> {
    return this.link.ask("decode", [ids]);
  }

  benchmark({ signal, onProgress }: BenchmarkOptions = {}): Promise<BenchmarkReport> {
    return this.link.ask("benchmark", [], { signal, onEvent: onProgress });
  }

  destroy(): void {
    this.link.end(new DOMException("The engine was destroyed.", "AbortError"));
  }

  private answer(prompt: Prompt, options: GenerationOptions): AnswerStream {
    // Here already, so that a mistake is thrown where it was made.
    resolveOptions(options, this.info.defaults);
    return new RemoteAnswer(this.link, prompt, options);
  }
}
