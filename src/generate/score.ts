import type { Scheduler } from "./scheduler.ts";

/** What EngineModel.logits() gives of `ids`, in turns with others, and from where it was when the device was lost. */
export async function* score(scheduler: Scheduler, ids: readonly number[]): AsyncGenerator<Float32Array> {
  for (let given = 0; ; ) {
    const rows = scheduler.model.logits(ids);
    try {
      for (let at = 0; ; at++) {
        const { done, value } = await scheduler.run(() => rows.next());
        if (done) return;
        // Another model gives the same again.
        if (at < given) continue;
        scheduler.noteProgress();
        given++;
        yield value;
      }
    } catch (error) {
      if (!(await scheduler.recovers(error))) throw error;
    } finally {
      await rows.return(undefined);
    }
  }
}
