import { PulledAnswer } from "../../src/generate/answer-stream.ts";
import type { GenerationOptions, GenerationResult } from "../../src/index.ts";
import type { AnswerEvent, Prompt } from "../protocol.ts";
import type { Link } from "./link.ts";

/** An answer that comes from the worker. As in a GenerationStream, nothing runs before the first piece is asked for. */
export class RemoteAnswer extends PulledAnswer {
  private readonly pieces: AsyncGenerator<string, void>;
  private readonly begin: () => AsyncGenerator<AnswerEvent, GenerationResult>;
  private readonly onPrefill: GenerationOptions["onPrefill"];
  private readonly leaving = new AbortController();
  private begun = false;

  constructor(link: Link, prompt: Prompt, { signal, onPrefill, ...options }: GenerationOptions) {
    super();
    this.onPrefill = onPrefill;
    const ends = signal ? AbortSignal.any([signal, this.leaving.signal]) : this.leaving.signal;
    this.begin = () => link.stream("answer", [prompt, options], ends);
    this.pieces = this.run();
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return {
      next: () => this.pieces.next(),
      return: async () => {
        this.leaving.abort();
        // What the worker has to say of the answer as far as it came.
        const rest = this.begun ? this.pieces : this.run();
        while (!(await rest.next()).done);
        return { done: true, value: undefined };
      },
    };
  }

  private async *run(): AsyncGenerator<string, void> {
    this.begun = true;
    try {
      const events = this.begin();
      for (;;) {
        const { done, value } = await events.next();
        if (done) return this.settle.resolve(value);
        if (value.kind === "prefill") this.onPrefill?.(value.done, value.total);
        else yield value.text;
      }
    } catch (error) {
      this.settle.reject(error);
      throw error;
    }
  }
}
