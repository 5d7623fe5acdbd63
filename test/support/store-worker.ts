import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Room } from "../../src/index.ts";
import * as faults from "../../web/store/fault.ts";
import * as folders from "../../web/store/folder.ts";
import * as states from "../../web/store/state.ts";
import * as stores from "../../web/store/store.ts";
import * as files from "../../web/store/sync-file.ts";

/** What a tab asks of its worker. */
export type Request =
  | { readonly id: number; readonly code: string; readonly args: unknown }
  /** To stop for good, in the middle of what it does, when it comes to a point for the nth time. */
  | { readonly stopAt: faults.FaultPoint; readonly nth: number };

const tools = { ...faults, ...files, ...folders, ...states, ...stores, openCheckpoint };

addEventListener("message", async ({ data }: MessageEvent<Request>) => {
  if ("stopAt" in data) return stopAt(data.stopAt, data.nth);
  const { id, code, args } = data;
  try {
    // Text, because what Vitest compiles has names in it that a browser lacks.
    const run = new Function("tools", "args", "tell", `return (async () => { ${code} })()`);
    postMessage({ id, value: await run(tools, args, (told: unknown) => postMessage({ id, told })) });
  } catch (error) {
    const { name, message, code, room } = error as Error & { code?: string; room?: Room };
    postMessage({ id, failure: { name, message, code, room } });
  }
});

function stopAt(point: faults.FaultPoint, nth: number): void {
  let left = nth;
  faults.onFault((reached) => {
    if (reached !== point || --left > 0) return;
    takeDisk();
    postMessage({ reached });
    throw new Error("This worker is being ended.");
  });
}

/** What this worker has written until now is all that it ever writes, however long the browser takes to end it. */
function takeDisk(): void {
  const refuse = () => {
    throw new Error("This worker is being ended.");
  };
  for (const name of ["FileSystemDirectoryHandle", "FileSystemFileHandle", "FileSystemSyncAccessHandle"]) {
    const { prototype } = (globalThis as unknown as Record<string, { prototype: object }>)[name]!;
    for (const key of Object.getOwnPropertyNames(prototype)) {
      if (key !== "constructor") Object.defineProperty(prototype, key, { value: refuse });
    }
  }
}
