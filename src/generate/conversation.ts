import type { AnswerStream } from "./answer-stream.ts";
import type { GenerationOptions } from "./options.ts";
import type { Message } from "./template.ts";

/** What a conversation asks of its engine. */
export interface Talk {
  answer(messages: readonly Message[], options: GenerationOptions): AnswerStream;
  /** The bytes of a saved conversation; the options are those of the last answer. */
  save(
    messages: readonly Message[],
    options: GenerationOptions,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void>;
}

/**
 * Messages and the answers to them, turn after turn: Engine.conversation() begins one. It holds no room in the KV cache;
 * what the cache has of it still is found by its tokens.
 */
export class Conversation {
  private readonly talk: Talk;
  private turns: readonly Message[];
  private options: GenerationOptions = {};
  private latest: AnswerStream | undefined;

  /** For engines alone. */
  constructor(talk: Talk, messages: readonly Message[]) {
    this.talk = talk;
    this.turns = [...messages];
  }

  /** What was said, and answered. */
  get messages(): readonly Message[] {
    return this.turns;
  }

  /**
   * Answers `text`, as Engine.chat() does. When the stream has ended, both are among the messages, an answer that was
   * stopped as far as it came; one without a word leaves nothing, and so does one that failed. What is said before the
   * answer to something else has ended is said in its place.
   * @throws what Engine.chat() throws.
   */
  say(text: string, options: GenerationOptions = {}): AnswerStream {
    const asked: readonly Message[] = [...this.turns, { role: "user", content: text }];
    const stream = this.talk.answer(asked, options);
    this.latest = stream;
    this.options = options;
    stream.result.then(
      (result) => {
        if (this.latest !== stream || result.text === "") return;
        this.turns = [...asked, { role: "assistant", content: result.text }];
      },
      // Whoever reads the stream has the error.
      () => {},
    );
    return stream;
  }

  /**
   * The messages with what the KV cache holds of them, for Engine.restore() of the same model with the same kind of cache.
   * In a page they go wherever a Blob goes; Node writes `bytes()` to a file, with saveConversation().
   * @throws ConversationError, or what reading the GPU throws.
   */
  async save(): Promise<Blob> {
    const parts: Blob[] = [];
    // A browser keeps blobs elsewhere than a page's memory.
    for await (const part of this.bytes()) parts.push(new Blob([part]));
    return new Blob(parts);
  }

  /** The bytes of save() as they are read, a few MB at a time. */
  bytes(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    return this.talk.save(this.turns, this.options);
  }
}
