/** Ends the holding of a lock; a second call does nothing. */
export type Release = () => void;

/**
 * What is locked of a model. "write" has one holder, who adds to it; whoever reads or writes shares "use", which who deletes
 * it must have alone; "state" is held for the moment in which the state is read or written.
 */
type LockKind = "write" | "use" | "state";

/**
 * Waits for a lock of a model. The browser takes it back when the worker or its tab ends, however that comes.
 * @throws the reason of a signal that is aborted before.
 */
export function hold(model: string, kind: LockKind, mode: LockMode, signal?: AbortSignal): Promise<Release> {
  return request(model, kind, { mode, ...(signal && { signal }) }) as Promise<Release>;
}

/** A lock of a model for oneself, or undefined where another has it. */
export function holdNow(model: string, kind: LockKind): Promise<Release | undefined> {
  return request(model, kind, { mode: "exclusive", ifAvailable: true });
}

/** Does something while no other tab reads or writes the model's state. */
export async function withState<T>(model: string, mode: LockMode, action: () => Promise<T>): Promise<T> {
  const release = await hold(model, "state", mode);
  try {
    return await action();
  } finally {
    release();
  }
}

function request(model: string, kind: LockKind, options: LockOptions): Promise<Release | undefined> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(`ziya-webgpu ${kind} ${model}`, options, (lock) => {
        if (!lock) return resolve(undefined);
        return new Promise<void>((release) => resolve(release));
      })
      .catch(reject);
  });
}
