import type { TransferProgress } from "../api.ts";
import { Meter } from "../store/meter.ts";

/** Makes reports of what is done in all, with its rate of late and the time that is left at that rate. */
export function meter(
  phase: TransferProgress["phase"],
  emit: (progress: TransferProgress) => void,
): (done: number, total: number) => void {
  const bytes = new Meter(phase, emit);
  let before = 0;
  return (done, total) => {
    bytes.total = total;
    bytes.add(done - before);
    before = done;
    if (done === total) bytes.report();
  };
}
