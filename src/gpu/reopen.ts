import { DeviceError, DeviceLostError } from "../errors.ts";
import type { Host } from "../host.ts";
import { type DeviceOptions, type Gpu, openDevice } from "./device.ts";

/**
 * Milliseconds between two tries, which double up to the longest, and of all pauses: a browser whose GPU process ended gives
 * no adapter for up to half a minute.
 */
const PAUSES = { first: 250, longest: 5000, total: 60_000 };

/**
 * As openDevice(), in place of a device that was lost: where there is none yet, it is tried again for about a minute.
 * @param signal Ends the wait.
 * @throws DeviceLostError that says how long it was tried and what came last, or the signal's reason.
 */
export async function reopenDevice(host: Host, options: DeviceOptions, signal: AbortSignal): Promise<Gpu> {
  const { first, longest, total } = PAUSES;
  let waited = 0;
  for (let tries = 1, pause = first; ; tries++, pause = Math.min(2 * pause, longest)) {
    signal.throwIfAborted();
    try {
      const gpu = await openDevice(host, options);
      if (!signal.aborted) return gpu;
      gpu.destroy();
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      if (waited + pause > total) {
        throw new DeviceLostError(
          `The GPU device was lost, and none could be opened in ${tries} tries within ${Math.round(waited / 1000)} seconds: ${error.message}`,
          { cause: error },
        );
      }
      await sleep(pause, signal);
      waited += pause;
    }
  }
}

/** Settles after a time, or when the signal comes. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
