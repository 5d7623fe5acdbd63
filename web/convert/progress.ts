import type { TransferProgress } from "../api.ts";
import { Meter, type Report } from "../store/meter.ts";

/** Reports a phase by what of it is done in all; what was done at its beginning says nothing of its rate. */
export function reporter(
  phase: TransferProgress["phase"],
  report: Report = () => {},
): (done: number, total: number) => void {
  let meter: Meter | undefined;
  let last = 0;
  return (done, total) => {
    if (meter && done >= last) meter.add(done - last);
    else {
      meter = new Meter(phase, report);
      meter.correct(done);
    }
    meter.total = total;
    last = done;
    if (done === total) meter.report();
  };
}
