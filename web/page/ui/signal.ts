/** A value that tells its listeners when another one takes its place. */
export class Signal<Value> {
  private current: Value;
  private readonly listeners = new Set<(value: Value) => void>();

  constructor(value: Value) {
    this.current = value;
  }

  get value(): Value {
    return this.current;
  }

  set value(value: Value) {
    this.current = value;
    for (const listener of [...this.listeners]) listener(value);
  }

  /** Calls with the value that there is, and with each one that comes until `gone` is aborted. */
  listen(gone: AbortSignal, listener: (value: Value) => void): void {
    if (gone.aborted) return;
    this.listeners.add(listener);
    gone.addEventListener("abort", () => this.listeners.delete(listener), { once: true });
    listener(this.current);
  }

  /** The first value that `wanted` gives something for. */
  when<Result>(wanted: (value: Value) => Result | undefined, stop?: AbortSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      const gone = new AbortController();
      stop?.addEventListener(
        "abort",
        () => {
          gone.abort();
          reject(stop.reason);
        },
        { signal: gone.signal },
      );
      stop?.throwIfAborted();
      this.listen(gone.signal, (value) => {
        const result = wanted(value);
        if (result === undefined) return;
        gone.abort();
        resolve(result);
      });
    });
  }
}
