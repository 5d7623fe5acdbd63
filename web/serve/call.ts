import { failureOf, revive } from "../../src/failure.ts";
import type { Calls, Name, Reply, Request } from "../protocol.ts";

/** What a call's handler has beside its arguments. */
interface Serving<Event> {
  /** Aborted when the page wants the result no more. */
  readonly signal: AbortSignal;
  /** Sends an event at once. */
  emit(event: Event, transfer?: Transferable[]): void;
  /** Settles when the page asks for one more event, or has aborted the call. */
  room(): Promise<void>;
}

export type Handlers = {
  readonly [Asked in Name]: (
    serving: Serving<Calls[Asked]["event"]>,
    ...args: Calls[Asked]["args"]
  ) => Promise<Calls[Asked]["result"]>;
};

interface Served {
  readonly abort: AbortController;
  wanted: number;
  wake: () => void;
}

/** Answers the page's calls, each on its own. */
export function serve(scope: DedicatedWorkerGlobalScope, handlers: Handlers): void {
  const calls = new Map<number, Served>();
  const post = (reply: Reply, transfer: Transferable[] = []) => scope.postMessage(reply, transfer);

  const begin = async (id: number, name: Name, args: readonly unknown[]) => {
    const served: Served = { abort: new AbortController(), wanted: 0, wake: () => {} };
    calls.set(id, served);
    const { signal } = served.abort;
    const serving: Serving<unknown> = {
      signal,
      emit: (event, transfer) => post({ id, event }, transfer),
      async room() {
        while (served.wanted <= 0 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            served.wake = resolve;
          });
        }
        served.wanted--;
      },
    };
    try {
      const handle = handlers[name] as (
        serving: Serving<unknown>,
        ...args: readonly unknown[]
      ) => Promise<unknown>;
      post({ id, result: await handle(serving, ...args) });
    } catch (error) {
      post({ id, failure: failureOf(error) });
    } finally {
      calls.delete(id);
    }
  };

  scope.addEventListener("message", ({ data }: MessageEvent<Request>) => {
    if ("call" in data) return void begin(data.id, data.call, data.args);
    const served = calls.get(data.id);
    if (!served) return;
    if ("more" in data) served.wanted += data.more;
    else served.abort.abort(revive(data.abort));
    served.wake();
  });
  post({ ready: true });
}
