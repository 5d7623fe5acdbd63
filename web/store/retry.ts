import { PassingError, retried } from "../../src/checkpoint/retry.ts";
import { unlessAborted } from "../../src/checkpoint/source.ts";

/** Tries again while something comes, which `progress` counts: only what brings nothing at all is a failure. */
export function retriedWhile(
  progress: () => number,
  signal: AbortSignal,
  work: () => Promise<void>,
): Promise<void> {
  const attempt = async () => {
    const before = progress();
    try {
      await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PassingError) || progress() <= before) throw error;
    }
  };
  return retried(attempt, true, signal);
}

/** Waits until the browser believes to have a network, if it knows that it has none. */
export async function whenOnline(signal: AbortSignal): Promise<void> {
  if (navigator.onLine) return;
  const waiting = new AbortController();
  const online = () =>
    new Promise<void>((resolve) => {
      addEventListener("online", () => resolve(), { signal: waiting.signal });
    });
  try {
    await unlessAborted(signal, online);
  } finally {
    waiting.abort();
  }
}
