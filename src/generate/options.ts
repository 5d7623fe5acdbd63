import { OptionError } from "../errors.ts";
import { show } from "../show.ts";

/** What a caller may ask of one answer. Everything left out comes from the model's defaults. */
export interface GenerationOptions {
  /** 0 takes the most likely token each time (greedy); 1 leaves the model's distribution as it is. */
  readonly temperature?: number;
  /** Only the k most likely tokens; 0 for no such bound. */
  readonly top_k?: number;
  /** Only the most likely tokens that together reach this probability; 1 for no such bound. */
  readonly top_p?: number;
  /** Only tokens at least this fraction as likely as the likeliest; 0 for no such bound. */
  readonly min_p?: number;
  /** Above 1 makes tokens of the prompt and the answer less likely to come again; 1 for none. */
  readonly repetition_penalty?: number;
  /** Same seed, same device, same tokens. Without it one is drawn and reported in the result. */
  readonly seed?: number;
  /** The longest answer in tokens; the context may hold fewer. */
  readonly max_tokens?: number;
  /** Texts that end the answer and are not part of it. */
  readonly stop?: string | readonly string[];
  /**
   * When the prompt does not fit the context: "error" throws ContextOverflowError; "truncate" drops the oldest turns
   * of a chat, or the oldest tokens of a plain prompt, until the prompt leaves room for `max_tokens` or a quarter of
   * the context, whichever is less. Default "error".
   */
  readonly overflow?: Overflow;
  /** Ends the answer; what it has so far is kept, with finish_reason "abort". */
  readonly signal?: AbortSignal;
}

const OVERFLOWS = ["error", "truncate"] as const;
export type Overflow = (typeof OVERFLOWS)[number];

/** The settings of the sampler, all present. */
export interface Sampling extends Readonly<Record<SamplingOption | "seed", number>> {
  /** Ids that are never chosen. */
  readonly suppress_tokens?: ReadonlySet<number>;
}

/** Options with every default filled in. */
export interface ResolvedOptions extends Sampling {
  readonly max_tokens: number;
  /** The longest prompt and answer together, in tokens; Infinity for no such bound. */
  readonly max_length: number;
  readonly stop: readonly string[];
  readonly overflow: Overflow;
  readonly signal: AbortSignal | undefined;
}

/** What a model's makers recommend; see `parseGenerationConfig`. */
export type GenerationDefaults = Pick<ResolvedOptions, SamplingOption | "max_tokens" | "suppress_tokens"> & {
  /** For an answer without `max_tokens` of its own: the longest prompt and answer together, in tokens. */
  readonly max_length?: number;
  readonly stop?: readonly string[];
};

/** A numeric option and the values it may have, ends included. */
interface NumericRange {
  readonly least: number;
  readonly most: number;
  readonly integer: boolean;
}

/** The numeric options by name: one table for the library, the command line and generation_config.json. */
export const NUMERIC_OPTIONS = {
  temperature: { least: 0, most: 100, integer: false },
  top_k: { least: 0, most: 1_048_576, integer: true },
  top_p: { least: 0, most: 1, integer: false },
  min_p: { least: 0, most: 1, integer: false },
  repetition_penalty: { least: 0.01, most: 100, integer: false },
  seed: { least: 0, most: Number.MAX_SAFE_INTEGER, integer: true },
  max_tokens: { least: 1, most: 1_048_576, integer: true },
} as const satisfies Record<string, NumericRange>;
export type NumericOption = keyof typeof NUMERIC_OPTIONS;
const NUMERIC_NAMES = Object.keys(NUMERIC_OPTIONS) as NumericOption[];

/** The numeric options that are settings of the sampler and have the same name in generation_config.json. */
export type SamplingOption = Exclude<NumericOption, "seed" | "max_tokens">;
export const SAMPLING_OPTIONS: readonly SamplingOption[] = NUMERIC_NAMES.filter(
  (name) => name !== "seed" && name !== "max_tokens",
);

const OPTION_NAMES = [...NUMERIC_NAMES, "stop", "overflow", "signal"];
/** Stop strings are searched for in every piece of text: more and longer ones than these are a mistake. */
const MOST_STOPS = 64;
const LONGEST_STOP = 1024;

/**
 * Checks options strictly and fills in the defaults; draws a seed when there is none.
 * @throws OptionError naming the option, what was wanted and what was found.
 */
export function resolveOptions(options: GenerationOptions, defaults: GenerationDefaults): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw new OptionError(`The generation options are ${show(options)}; wanted an object.`);
  }
  for (const name of Object.keys(options)) {
    if (!OPTION_NAMES.includes(name)) {
      throw new OptionError(
        `There is no generation option ${show(name)}; there are ${OPTION_NAMES.join(", ")}.`,
      );
    }
  }
  const numeric = (name: NumericOption) =>
    options[name] !== undefined
      ? checkNumber(name, options[name])
      : name === "seed"
        ? drawSeed()
        : defaults[name];
  const { overflow = "error", signal } = options;
  if (!OVERFLOWS.includes(overflow)) {
    throw new OptionError(`overflow is ${show(overflow)}; wanted ${OVERFLOWS.map(show).join(" or ")}.`);
  }
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw new OptionError(`signal is ${show(signal)}; wanted an AbortSignal.`);
  }
  const numbers = Object.fromEntries(NUMERIC_NAMES.map((name) => [name, numeric(name)]));
  return {
    ...(numbers as Record<NumericOption, number>),
    max_length: options.max_tokens === undefined ? (defaults.max_length ?? Infinity) : Infinity,
    stop: options.stop === undefined ? (defaults.stop ?? []) : checkStops(options.stop),
    ...(defaults.suppress_tokens && { suppress_tokens: defaults.suppress_tokens }),
    overflow,
    signal,
  };
}

/**
 * @param label How the message calls the option, when not by its own name.
 * @throws OptionError
 */
export function checkNumber(name: NumericOption, value: unknown, label: string = name): number {
  const { least, most, integer } = NUMERIC_OPTIONS[name];
  if (
    typeof value !== "number" ||
    !(value >= least && value <= most) ||
    (integer && !Number.isInteger(value))
  ) {
    throw new OptionError(
      `${label} is ${show(value)}; wanted ${integer ? "an integer" : "a number"} from ${least} to ${most}.`,
    );
  }
  return value;
}

/** Whether everything is there that an answer calls: a signal may come from another realm, so its class tells nothing. */
function isAbortSignal(value: AbortSignal | null): boolean {
  const methods = [value?.addEventListener, value?.removeEventListener, value?.throwIfAborted];
  return typeof value?.aborted === "boolean" && methods.every((method) => typeof method === "function");
}

/**
 * @param label How the message calls the option.
 * @throws OptionError
 */
export function checkStops(value: unknown, label = "stop"): readonly string[] {
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (stops.length > MOST_STOPS) {
    throw new OptionError(`${label} has ${stops.length} strings; wanted at most ${MOST_STOPS}.`);
  }
  return stops.map((stop) => {
    if (typeof stop !== "string" || stop.length === 0 || stop.length > LONGEST_STOP) {
      throw new OptionError(
        `${label} has ${show(stop)}; wanted strings of 1 to ${LONGEST_STOP} characters, one or a list of them.`,
      );
    }
    if (/\p{Surrogate}/u.test(stop)) {
      throw new OptionError(`${label} has ${show(stop)}, which holds half a character; wanted whole ones.`);
    }
    return stop;
  });
}

function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
