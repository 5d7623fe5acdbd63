import type { TransferOptions, TransferProgress } from "../../api.ts";
import { Signal } from "../ui/signal.ts";

type TransferState =
  | { readonly kind: "running" | "paused" | "done"; readonly progress?: TransferProgress }
  | { readonly kind: "failed"; readonly progress?: TransferProgress; readonly error: unknown };

/** A download, copy, check or conversion that the person started: it goes on when its dialog is closed. */
export class Transfer {
  readonly name: string;
  readonly state = new Signal<TransferState>({ kind: "running" });
  private readonly work: (options: TransferOptions) => Promise<unknown>;
  private running = new AbortController();

  /** @param work Goes on where it was when it is called again. */
  constructor(name: string, work: (options: TransferOptions) => Promise<unknown>) {
    this.name = name;
    this.work = work;
    void this.run();
  }

  pause(): void {
    if (this.state.value.kind !== "running") return;
    this.running.abort();
    this.state.value = { ...this.state.value, kind: "paused" };
  }

  resume(): void {
    if (this.state.value.kind === "paused" || this.state.value.kind === "failed") void this.run();
  }

  private async run(): Promise<void> {
    const running = new AbortController();
    this.running = running;
    const { progress: before } = this.state.value;
    this.state.value = { kind: "running", ...(before && { progress: before }) };
    const { signal } = running;
    try {
      await this.work({
        signal,
        onProgress: (progress) => {
          if (!signal.aborted) this.state.value = { kind: "running", progress };
        },
      });
      if (!signal.aborted) this.state.value = { ...this.state.value, kind: "done" };
    } catch (error) {
      if (!signal.aborted) this.state.value = { ...this.state.value, kind: "failed", error };
    }
  }
}

/** Those that are not over, by the name of their model. */
export const transfers = new Signal<ReadonlyMap<string, Transfer>>(new Map());

/** Starts one, unless one of that name runs. */
export function transfer(name: string, work: (options: TransferOptions) => Promise<unknown>): Transfer {
  const running = transfers.value.get(name);
  if (running) return running;
  const started = new Transfer(name, work);
  transfers.value = new Map([...transfers.value, [name, started]]);
  started.state.listen(new AbortController().signal, ({ kind }) => {
    if (kind === "done") forget(name);
  });
  return started;
}

/** Leaves it where it is. */
export function forget(name: string): void {
  transfers.value.get(name)?.pause();
  transfers.value = new Map([...transfers.value].filter(([other]) => other !== name));
}
