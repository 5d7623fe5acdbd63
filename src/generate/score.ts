import { Holding } from "./holding.ts";
import { inRoom } from "./room.ts";
import type { Scheduler } from "./scheduler.ts";

/**
 * What EngineModel.score() gives of `ids`, in turns with others, and from where it was when the device was lost, or when others needed
 * the room in the cache of a reader that stayed away.
 * @throws ContextOverflowError for more ids than the context holds.
 */
export async function* score(scheduler: Scheduler, ids: readonly number[]): AsyncGenerator<Float32Array> {
  const holding = new Holding(true);
  try {
    for (let given = 0; given < ids.length; ) {
      const { rows, end } = await next(scheduler, holding, ids);
      // What is run again gives the same again.
      if (end <= given) continue;
      given = end;
      scheduler.noteProgress();
      holding.rest();
      yield rows;
      holding.wake();
    }
  } finally {
    scheduler.places.release(holding);
  }
}

/** The rows behind what is held, and how many there are up to their end. */
async function next(scheduler: Scheduler, holding: Holding, ids: readonly number[]) {
  for (;;) {
    try {
      return await inRoom(scheduler, holding, ids.length, async (sequence, model) => {
        const rows = await model.score(sequence, ids);
        return { rows, end: sequence.length };
      });
    } catch (error) {
      if (!(await scheduler.recovers(error))) throw error;
    }
  }
}
