/**
 * Dawn's event loop in Node asks in every turn whether the GPU is done, which keeps a whole core busy: one of the two that
 * a software adapter computes on, or a laptop's battery. So the thread sleeps in between.
 */

/** Far below what a token takes on most adapters, and enough that asking takes a hundredth of a core. */
const LONGEST_NAP = 0.2;
/** Of the time waited so far: what an adapter does in a moment is not told of late. */
const NAP_SHARE = 1 / 20;

const never = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
/** When the first of those that wait began to, in milliseconds of performance.now(). */
let since = 0;
let isScheduled = false;

/** Waits for what the GPU is at. Everything else of the event loop goes on, a nap a turn later. */
export async function napUntil<T>(work: Promise<T>): Promise<T> {
  if (waiting++ === 0) since = performance.now();
  if (!isScheduled) schedule();
  try {
    return await work;
  } finally {
    waiting--;
  }
}

function schedule(): void {
  isScheduled = true;
  setImmediate(nap);
}

function nap(): void {
  isScheduled = false;
  if (waiting === 0) return;
  Atomics.wait(never, 0, 0, Math.min(LONGEST_NAP, NAP_SHARE * (performance.now() - since)));
  schedule();
}
