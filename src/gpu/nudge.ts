import type { Host } from "../host.ts";

/** Above what a map of an idle buffer takes where the browser hears of it by itself, and below Firefox's timer. */
const LATE_MILLISECONDS = 50;
/** Of the time waited so far: how much later than it could a wait may end. */
const SHARE = 1 / 20;
const SHORTEST_MILLISECONDS = 1;

/**
 * Firefox looks only every 100 milliseconds whether the GPU is done, unless something is submitted: then it looks at once. So
 * it is timed how long a map of an idle buffer takes, which is no work at all.
 * @returns a way to wait that submits nothing over and over, where that is sooner; undefined where the device tells by itself.
 */
export async function nudgingWait(device: GPUDevice): Promise<Host["wait"]> {
  const nudging = <T>(work: Promise<T>) => nudged(device.queue, work);
  const plain = <T>(work: Promise<T>) => work;
  let buffer: GPUBuffer | undefined;
  const isLate = async (wait: typeof plain) => {
    const began = performance.now();
    await wait(buffer!.mapAsync(GPUMapMode.READ));
    buffer!.unmap();
    return performance.now() - began > LATE_MILLISECONDS;
  };
  try {
    buffer = device.createBuffer({ label: "a map that is timed", size: 16, usage: GPUBufferUsage.MAP_READ });
    // The first map ends with a round of the timer, so that the second takes a whole one.
    await isLate(plain);
    return (await isLate(plain)) && !(await isLate(nudging)) ? nudging : undefined;
  } catch {
    // Whatever is wrong with the device, whoever uses it hears of.
    return undefined;
  } finally {
    buffer?.destroy();
  }
}

async function nudged<T>(queue: GPUQueue, work: Promise<T>): Promise<T> {
  const began = performance.now();
  const nudge = () => {
    queue.submit([]);
    timer = setTimeout(nudge, Math.max(SHORTEST_MILLISECONDS, SHARE * (performance.now() - began)));
  };
  let timer = setTimeout(nudge, SHORTEST_MILLISECONDS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
