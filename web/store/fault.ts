/**
 * The moments at which a test ends the worker, by name: between any two of them something has come to the disk that the
 * next visit may find. What has to hold after each is in test/web/store-faults.test.ts.
 */
export const FAULT_POINTS = [
  // A file that is to appear under its name when it is complete (folder.ts).
  "file-begun",
  "file-written",
  "rename-marked",
  "rename-emptied",
  "rename-copied",
  "file-named",
  // A model (store.ts, state.ts).
  "folder-made",
  "state-written",
  "delete-begun",
  // A shard that comes by pieces (pieces.ts, shard.ts).
  "pieces-begun",
  "bytes-written",
  "bytes-counted",
  "shard-filled",
  "shard-bad",
  "shard-right",
  "shard-counted",
] as const;

export type FaultPoint = (typeof FAULT_POINTS)[number];

let hook: ((point: FaultPoint) => void) | undefined;

/** For tests: `call` is called at each point, and may not return. */
export function onFault(call: (point: FaultPoint) => void): void {
  hook = call;
}

/** Does nothing, unless a test has asked for more. */
export function fault(point: FaultPoint): void {
  hook?.(point);
}
