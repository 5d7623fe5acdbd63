import type { ModelSource, Models, TransferProgress, WebEngine } from "../../api.ts";
import { loadEngine, openModels } from "../../index.ts";
import { t } from "../strings/strings.ts";
import { notify } from "../ui/notices.ts";
import { Signal } from "../ui/signal.ts";
import { type ModelChoice, prefer, preferences } from "./preferences.ts";

/** The embedded model's folder beside the page, and what it is called in the browser's storage. */
export const EMBEDDED = "ziya-tiny";

/** A model to open: by its source, under the name that the person sees. */
export interface Wanted {
  readonly name: string;
  readonly source: ModelSource;
  /** By which the page opens it again the next time; undefined for files on the disk, which only the person can give. */
  readonly choice?: ModelChoice;
}

type EngineState =
  | { readonly kind: "loading"; readonly model: string; readonly progress?: TransferProgress }
  | { readonly kind: "paused"; readonly model: string; readonly progress?: TransferProgress }
  | { readonly kind: "ready"; readonly model: string; readonly engine: WebEngine }
  | { readonly kind: "failed"; readonly model: string; readonly error: unknown; readonly fetching: boolean };

/** The model that answers, and how far it is from that. */
export class Session {
  readonly state = new Signal<EngineState>({ kind: "loading", model: EMBEDDED });
  private wanted: Wanted | undefined;
  private loading = new AbortController();
  private opened: Models | undefined;

  /** The browser's storage; its worker starts when somebody asks. */
  get models(): Models {
    this.opened ??= openModels();
    return this.opened;
  }

  /** Opens the model of the last visit, or the embedded one. */
  start(): void {
    this.open(wantedOf(preferences.value.model));
  }

  /** Opens a model in place of the one that there is. */
  open(wanted: Wanted): void {
    this.wanted = wanted;
    if (wanted.choice) prefer({ model: wanted.choice });
    void this.load(wanted);
  }

  /** Stops what is being fetched; what is there stays. */
  pause(): void {
    const { value } = this.state;
    if (value.kind !== "loading") return;
    this.loading.abort();
    this.state.value = { ...value, kind: "paused" };
  }

  /** Goes on with what was paused, or tries again what failed. */
  again(): void {
    if (this.wanted) void this.load(this.wanted);
  }

  /** The engine, as soon as there is one, also of a model that is opened after another one failed. */
  ready(stop?: AbortSignal): Promise<{ engine: WebEngine; model: string }> {
    return this.state.when((state) => (state.kind === "ready" ? state : undefined), stop);
  }

  /** The library opens the device again and goes on with the answer; the person is told why it waits. */
  private lost(recovered: Promise<void>): void {
    notify(t().deviceLost);
    recovered.then(
      () => notify(t().deviceBack),
      () => {},
    );
  }

  private async load({ name, source }: Wanted): Promise<void> {
    const before = this.state.value;
    this.loading.abort();
    if (before.kind === "ready") before.engine.destroy();
    const loading = new AbortController();
    this.loading = loading;
    this.state.value = { kind: "loading", model: name };
    const context = preferences.value.contexts[name];
    try {
      const engine = await loadEngine(source, {
        ...(context !== undefined && { context }),
        signal: loading.signal,
        onDeviceLost: (_, recovered) => this.lost(recovered),
        onProgress: (progress) => {
          if (!loading.signal.aborted) this.state.value = { kind: "loading", model: name, progress };
        },
      });
      if (loading.signal.aborted) engine.destroy();
      else this.state.value = { kind: "ready", model: name, engine };
    } catch (error) {
      if (loading.signal.aborted) return;
      const { value } = this.state;
      const at = value.kind === "loading" ? value.progress : undefined;
      // From the disk or the browser's storage nothing is fetched; from a server, until all of it is here.
      const fetching =
        !("stored" in Object(source) || "files" in Object(source)) &&
        !(at && (at.phase === "compile" || (at.phase === "load" && at.done === at.total)));
      this.state.value = { kind: "failed", model: name, error, fetching };
    }
  }
}

export function wantedOf(choice: ModelChoice): Wanted {
  if (choice.kind === "stored") {
    const { name, url } = choice;
    // One that is whole asks nothing of its address.
    return { name, source: url === undefined ? { stored: name } : { url, name }, choice };
  }
  const url = new URL(`models/${EMBEDDED}/`, document.baseURI);
  return { name: EMBEDDED, source: { url, name: EMBEDDED }, choice };
}
