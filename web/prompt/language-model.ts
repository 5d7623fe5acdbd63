import { abortable, asDomException, notSupported, quotaExceeded } from "./errors.ts";
import { Handler } from "./events.ts";
import { readPrompt } from "./messages.ts";
import { Model } from "./model.ts";
import { paramsOf, samplingOf, unsupportedIn } from "./options.ts";
import { type Beginning, Session } from "./session.ts";
import type {
  Availability,
  CreateCoreOptions,
  CreateMonitor,
  CreateOptions,
  EngineLoader,
  LanguageModelClass,
  ModelParams,
  PromptEngine,
} from "./types.ts";

/** What takes how much of the download is there, from 0 to 1. */
type Watch = (loaded: number) => void;

/**
 * What Chrome has as `LanguageModel`, answered by an engine: `globalThis.LanguageModel ??= createLanguageModel(engine)`, and a
 * page that is written for the Prompt API runs. Text in, text out: images, audio, tools and constrained answers are refused
 * with the errors that the draft has for them, and `availability()` says so before.
 * @param source An engine; or what loads one, once, when the first session is made.
 */
export function createLanguageModel(source: PromptEngine | EngineLoader): LanguageModelClass {
  const lazy = new LazyModel(source);

  return class LanguageModel extends Session {
    static async availability(options: CreateCoreOptions = {}): Promise<Availability> {
      return unsupportedIn(options) === undefined ? lazy.availability : "unavailable";
    }

    static async params(): Promise<ModelParams> {
      return paramsOf((await lazy.load()).defaults);
    }

    static async create(options: CreateOptions = {}): Promise<LanguageModel> {
      const { signal = new AbortController().signal, monitor, initialPrompts = [] } = options;
      signal.throwIfAborted();
      const unsupported = unsupportedIn(options);
      if (unsupported !== undefined) throw notSupported(`This model has no ${unsupported}.`);
      const { messages } = initialPrompts.length > 0 ? readPrompt(initialPrompts) : { messages: [] };
      if (messages.findLastIndex(({ role }) => role === "system") > 0) {
        throw new TypeError("A system message is not the first of the initialPrompts.");
      }
      const making = lazy.load(monitor && watchOf(monitor, signal)).then(async (model) => {
        const ids = await model.idsOf([], { messages, prefix: false });
        if (ids.length >= model.window) {
          throw quotaExceeded(
            `The initialPrompts have ${ids.length} tokens; the context holds ${model.window}, of which an answer needs at least one.`,
            ids.length,
            model.window,
          );
        }
        if (ids.length > 0) await model.run(ids, signal);
        const sampling = samplingOf(options, model.defaults);
        return new LanguageModel({ model, sampling, kept: messages, turns: [], usage: ids.length });
      });
      const session = await abortable(making, signal).catch((error) => {
        throw signal.aborted ? signal.reason : asDomException(error, "OperationError");
      });
      session.follow(signal);
      return session;
    }

    constructor(beginning?: Beginning) {
      if (!beginning) throw new TypeError("LanguageModel has no constructor for pages: await create().");
      super(beginning);
    }

    protected override make(beginning: Beginning): LanguageModel {
      return new LanguageModel(beginning);
    }
  };
}

/** A model that is loaded when it is first wanted, once for all sessions. */
class LazyModel {
  availability: Availability;
  private readonly open: EngineLoader;
  private loading: Promise<Model> | undefined;
  private readonly watches = new Set<Watch>();

  constructor(source: PromptEngine | EngineLoader) {
    this.availability = typeof source === "function" ? "downloadable" : "available";
    this.open = typeof source === "function" ? source : async () => source;
  }

  /** Whoever gives up does not end it for others; when it fails, the next one who asks has it tried again. */
  async load(watch: Watch = () => {}): Promise<Model> {
    watch(0);
    this.watches.add(watch);
    try {
      this.loading ??= this.start();
      const model = await this.loading;
      watch(1);
      return model;
    } finally {
      this.watches.delete(watch);
    }
  }

  private async start(): Promise<Model> {
    const before = this.availability;
    if (before === "downloadable") this.availability = "downloading";
    try {
      const engine = await this.open({
        onProgress: ({ phase, done, total }) => {
          if (phase !== "download" || done >= total) return;
          for (const watch of this.watches) watch(done / total);
        },
      });
      const model = await Model.of(engine);
      this.availability = "available";
      return model;
    } catch (error) {
      this.availability = before;
      this.loading = undefined;
      throw error;
    }
  }
}

class Monitor extends EventTarget implements CreateMonitor {
  private readonly onProgress = new Handler<CreateMonitor, ProgressEvent>(this, "downloadprogress");

  get ondownloadprogress(): CreateMonitor["ondownloadprogress"] {
    return this.onProgress.get();
  }

  set ondownloadprogress(handler: CreateMonitor["ondownloadprogress"]) {
    this.onProgress.set(handler);
  }
}

/** Hands a monitor to whoever wants it, and gives what fires its events: rising, and none when it was given up. */
function watchOf(take: (monitor: CreateMonitor) => void, signal: AbortSignal): Watch {
  const monitor = new Monitor();
  take(monitor);
  let last = -1;
  return (loaded) => {
    if (signal.aborted || loaded <= last) return;
    last = loaded;
    monitor.dispatchEvent(progressEvent(loaded));
  };
}

/** Node has no ProgressEvent. */
function progressEvent(loaded: number): Event {
  const fields = { lengthComputable: true, loaded, total: 1 };
  return typeof ProgressEvent === "function"
    ? new ProgressEvent("downloadprogress", fields)
    : Object.assign(new Event("downloadprogress"), fields);
}
