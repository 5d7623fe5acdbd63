import { CheckpointError } from "../errors.ts";
import { unlessAborted } from "./source.ts";

/** Before the second try, the third and the last one, in milliseconds: a connection that was lost is back by then or away for long. */
const WAITS_MS: readonly number[] = [250, 1000, 4000];
/** The longest that a server may ask to be left alone for and still be waited for, in milliseconds. */
const LONGEST_WAIT_MS = 30_000;
/** What servers answer that may do better a moment later: too busy or too often asked, or a proxy without its server. */
const PASSING: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/** A failure of the connection or the server, not of the bytes: the same request may succeed later. */
export class PassingError extends CheckpointError {
  /** Whether a server answered at all. */
  readonly answered: boolean;
  /** What the server asked for, in milliseconds. */
  readonly wait: number;

  constructor(message: string, answered: boolean, options: ErrorOptions & { wait?: number } = {}) {
    super(message, options);
    this.answered = answered;
    this.wait = options.wait ?? 0;
  }
}

/** The wait in milliseconds that a response asks for before its request is made again; undefined where that is of no use. */
export function passingWait(response: Response): number | undefined {
  if (!PASSING.has(response.status)) return undefined;
  const after = response.headers.get("retry-after") ?? "";
  const wait = /^\d{1,9}$/.test(after) ? 1000 * Number(after) : Date.parse(after) - Date.now();
  return Math.max(0, wait || 0);
}

/**
 * What `work` comes to, tried four times in all while its errors may pass.
 * @param known Whether the server has answered before: one that never did is rather misspelt than away.
 * @throws CheckpointError that says how often it was tried, or the reason of a signal that is aborted, at once.
 */
export async function retried<T>(
  work: () => Promise<T>,
  known: boolean,
  signal: AbortSignal | undefined,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PassingError)) throw error;
      const wait = Math.max(WAITS_MS[tries - 1] ?? Number.POSITIVE_INFINITY, error.wait);
      if (wait > LONGEST_WAIT_MS || !(known || error.answered)) {
        const often = tries > 1 ? ` It was tried ${tries} times.` : "";
        throw new CheckpointError(error.message + often, { cause: error.cause });
      }
      await pause(wait, signal);
    }
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = () =>
    new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
  try {
    await (signal ? unlessAborted(signal, passed) : passed());
  } finally {
    clearTimeout(timer);
  }
}
