import { failureOf, revive } from "../../src/failure.ts";
import type { Calls, Name, Reply, Request } from "../protocol.ts";

/** Events that may be on their way before the page has asked for the next: so many that it never waits for messages alone. */
const AHEAD = 16;

interface Pending {
  readonly onEvent: (event: unknown) => void;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface CallOptions<Event> {
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: Event) => void) | undefined;
  /** How many events are wanted before more() is called. Default: all. */
  readonly first?: number;
}

/** A call that is under way. */
interface Call<Result> {
  readonly result: Promise<Result>;
  more(count: number): void;
  abort(reason: unknown): void;
}

/** The page's end of the messages to and from a worker. */
export class Link {
  private readonly worker: Worker;
  private readonly pending = new Map<number, Pending>();
  private calls = 0;
  private ended: Error | undefined;

  constructor(worker: Worker) {
    this.worker = worker;
    worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.receive(data));
    worker.addEventListener("error", ({ message }) => {
      this.end(new Error(`The worker of the engine failed: ${message || "no reason given"}.`));
    });
  }

  /** Asks, and waits for the result. */
  ask<Asked extends Name>(
    call: Asked,
    args: Calls[Asked]["args"],
    options: CallOptions<Calls[Asked]["event"]> = {},
  ): Promise<Calls[Asked]["result"]> {
    return this.start(call, args, options).result;
  }

  /** Events as they are read, and then the result. Leaving early aborts the call. */
  async *stream<Asked extends Name>(
    call: Asked,
    args: Calls[Asked]["args"],
    signal?: AbortSignal,
  ): AsyncGenerator<Calls[Asked]["event"], Calls[Asked]["result"]> {
    const events: Calls[Asked]["event"][] = [];
    let wake = () => {};
    let over = false;
    const onEvent = (event: Calls[Asked]["event"]) => {
      events.push(event);
      wake();
    };
    const started = this.start(call, args, { signal, onEvent, first: AHEAD });
    const end = () => {
      over = true;
      wake();
    };
    started.result.then(end, end);
    try {
      for (;;) {
        if (events.length > 0) {
          yield events.shift()!;
          started.more(1);
        } else if (over) {
          return await started.result;
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      if (!over) started.abort(new DOMException("Nobody reads it any more.", "AbortError"));
    }
  }

  /** Begins a call. */
  start<Asked extends Name>(
    call: Asked,
    args: Calls[Asked]["args"],
    { signal, onEvent, first = Number.POSITIVE_INFINITY }: CallOptions<Calls[Asked]["event"]>,
  ): Call<Calls[Asked]["result"]> {
    const id = this.calls++;
    const send = (request: Request) => this.worker.postMessage(request);
    const abort = (reason: unknown) => send({ id, abort: failureOf(reason) });
    const onAbort = () => abort(signal!.reason);
    const result = new Promise<Calls[Asked]["result"]>((resolve, reject) => {
      if (this.ended) return reject(this.ended);
      this.pending.set(id, {
        onEvent: (event) => onEvent?.(event as Calls[Asked]["event"]),
        resolve: (value) => resolve(value as Calls[Asked]["result"]),
        // The signal's own reason, not what is left of it after two ways between threads.
        reject: (error) => reject(signal?.aborted && isAbort(error) ? signal.reason : error),
      });
      send({ id, call, args });
      send({ id, more: first });
      if (signal?.aborted) onAbort();
      signal?.addEventListener("abort", onAbort);
    }).finally(() => signal?.removeEventListener("abort", onAbort));
    // Whoever reads the events has the error from there.
    result.catch(() => {});
    return { result, more: (count) => send({ id, more: count }), abort };
  }

  /** Ends the worker: what is under way fails with the error. */
  end(error: Error): void {
    this.ended ??= error;
    this.worker.terminate();
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }

  private receive(reply: Reply): void {
    if (!("id" in reply)) return;
    const call = this.pending.get(reply.id);
    if (!call) return;
    if ("event" in reply) {
      call.onEvent(reply.event);
      return;
    }
    this.pending.delete(reply.id);
    if ("failure" in reply) call.reject(revive(reply.failure));
    else call.resolve(reply.result);
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
