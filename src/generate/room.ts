import type { Sequence } from "../model/sequence.ts";
import { Holding } from "./holding.ts";
import type { EngineModel } from "./recovery.ts";
import type { Scheduler } from "./scheduler.ts";

/**
 * Runs what needs the model for itself, between two passes, and room in the cache for `count` tokens in a sequence of its own, which
 * the holding keeps. Who is answered gives way for it; a search, and whoever else is not answered, is waited for.
 * @param signal Ends the wait.
 * @throws ContextOverflowError for more tokens than the context holds.
 */
export async function inRoom<Result>(
  scheduler: Scheduler,
  holding: Holding,
  count: number,
  work: (sequence: Sequence, model: EngineModel) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const { places } = scheduler;
  for (;;) {
    signal?.throwIfAborted();
    const done = await scheduler.run(async () => {
      const sequence = places.hold(holding, count);
      return sequence && { result: await work(sequence, scheduler.model) };
    });
    if (done) return done.result;
    await places.room(signal);
  }
}

/** As inRoom(), of work that takes room itself: for sequences of these tokens, one after the other. */
export function withRoom<Result>(
  scheduler: Scheduler,
  texts: readonly (readonly number[])[],
  work: (model: EngineModel) => Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const holding = new Holding(false);
  const run = (_: Sequence, model: EngineModel) => {
    scheduler.places.release(holding);
    return work(model);
  };
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
  return inRoom(scheduler, holding, longest, run, signal);
}
