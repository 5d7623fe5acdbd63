/** What the draft gives for a prompt that does not fit: browsers that have the class know it by that name. */
class QuotaExceeded extends DOMException {
  readonly requested: number;
  readonly quota: number;

  constructor(message: string, { requested, quota }: { requested: number; quota: number }) {
    super(message, "QuotaExceededError");
    this.requested = requested;
    this.quota = quota;
  }
}

/**
 * @param requested Tokens of all that was to fit.
 * @param quota Tokens of the context.
 */
export function quotaExceeded(message: string, requested: number, quota: number): DOMException {
  const { QuotaExceededError: Own = QuotaExceeded } = globalThis as {
    QuotaExceededError?: typeof QuotaExceeded;
  };
  return new Own(message, { requested, quota });
}

export function notSupported(message: string): DOMException {
  return new DOMException(message, "NotSupportedError");
}

/** An engine's error as the draft has it: what has no name there is unknown, and the engine's own is its cause. */
export function asDomException(error: unknown, name = "UnknownError"): unknown {
  if (error instanceof DOMException || error instanceof TypeError || error instanceof RangeError)
    return error;
  const message = error instanceof Error ? error.message : String(error);
  return Object.assign(new DOMException(message, name), { cause: error });
}

/** What `work` gives, or the signal's reason as soon as it is aborted. */
export function abortable<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
