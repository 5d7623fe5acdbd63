/**
 * Dawn's event loop in Node asks in every turn whether the GPU is done, which keeps a whole core busy: one of the two that
 * a software adapter computes on, or a laptop's battery. So the thread sleeps in between.
 */

/** Far below what a token takes, and enough that asking takes a hundredth of a core. */
const NAP_MILLISECONDS = 0.2;

const never = new Int32Array(new SharedArrayBuffer(4));
let waiting = 0;
let isScheduled = false;

/** Waits for what the GPU is at. Everything else of the event loop goes on, a nap a turn later. */
export async function napUntil<T>(work: Promise<T>): Promise<T> {
  waiting++;
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
  Atomics.wait(never, 0, 0, NAP_MILLISECONDS);
  schedule();
}
