import { OptionError } from "../errors.ts";
import { MOST_DRAWN } from "../kernels/rows.ts";
import { show } from "../show.ts";
import { checkOptions, integer, number, type Option, type OptionTable } from "./option.ts";

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
  /**
   * Drafts of up to so many tokens are copied from where the last few stood before, and confirmed several in a pass: quicker
   * where an answer quotes, and never another answer. 0, the default, for none.
   */
  readonly prompt_lookup_num_tokens?: number;
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
  /** Called as the prompt is run, a chunk at a time: tokens that ran, and those that have to, without what is cached. */
  readonly onPrefill?: (done: number, total: number) => void;
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
  readonly prompt_lookup_num_tokens: number;
  /** The longest prompt and answer together, in tokens; Infinity for no such bound. */
  readonly max_length: number;
  readonly stop: readonly string[];
  readonly overflow: Overflow;
  readonly signal: AbortSignal | undefined;
  readonly onPrefill: GenerationOptions["onPrefill"];
}

/** What a model's makers recommend; see `parseGenerationConfig`. */
export type GenerationDefaults = Pick<ResolvedOptions, SamplingOption | "max_tokens" | "suppress_tokens"> & {
  /** For an answer without `max_tokens` of its own: the longest prompt and answer together, in tokens. */
  readonly max_length?: number;
  readonly stop?: readonly string[];
};

/** The options of an answer: one table for the library, the command line and generation_config.json. */
export const GENERATION_OPTIONS = {
  temperature: {
    ...number(0, 100),
    key: "temperature",
    flag: ["T", "0 is greedy: the most likely token each time. Default: the model's."],
  },
  top_k: { ...integer(0, 1_048_576), key: "top_k", flag: ["K", "Only the K most likely tokens; 0 for all."] },
  top_p: { ...number(0, 1), key: "top_p", flag: ["P", "Only the most likely tokens that together reach P."] },
  min_p: {
    ...number(0, 1),
    key: "min_p",
    flag: ["P", "Only tokens at least P times as likely as the likeliest."],
  },
  repetition_penalty: {
    ...number(0.01, 100),
    key: "repetition_penalty",
    flag: ["R", "Above 1: what was said is less likely to be said again."],
  },
  seed: { ...integer(0, Number.MAX_SAFE_INTEGER), flag: ["N", "Same seed, same device, same answer."] },
  max_tokens: { ...integer(1, 1_048_576), key: "max_new_tokens", flag: ["N", "The longest answer."] },
  prompt_lookup_num_tokens: {
    ...integer(0, MOST_DRAWN - 1),
    default: 0,
    flag: ["N", "Draft up to N tokens from what was said: quicker where an answer quotes."],
  },
  stop: {
    kind: "texts",
    key: "stop_strings",
    flag: ["TEXT", "End the answer before TEXT; may be given several times."],
  },
  overflow: {
    kind: "choice",
    choices: OVERFLOWS,
    flag: ["HOW", "When the context is full: error, or truncate to drop what is oldest."],
  },
  signal: { kind: "signal" },
  onPrefill: { kind: "other" },
} as const satisfies OptionTable & Record<keyof GenerationOptions, Option>;

type NamesOf<Kind> = {
  [Name in keyof GenerationOptions]-?: (typeof GENERATION_OPTIONS)[Name] extends Kind ? Name : never;
}[keyof GenerationOptions];
type NumericOption = NamesOf<{ readonly kind: "number" }>;
/** The numeric options that are settings of the sampler, with a default in Ziya's card and generation_config.json. */
export type SamplingOption = Exclude<NumericOption, OwnOption>;
type OwnOption = "seed" | "max_tokens" | NamesOf<{ readonly default: number }>;

const NUMERIC_OPTIONS = (Object.keys(GENERATION_OPTIONS) as (keyof GenerationOptions)[]).filter(
  (name): name is NumericOption => GENERATION_OPTIONS[name].kind === "number",
);
const OWN_OPTIONS: readonly string[] = [
  "seed",
  "max_tokens",
  "prompt_lookup_num_tokens",
] satisfies OwnOption[];
export const SAMPLING_OPTIONS: readonly SamplingOption[] = NUMERIC_OPTIONS.filter(
  (name): name is SamplingOption => !OWN_OPTIONS.includes(name),
);

const OWN_DEFAULTS = {
  prompt_lookup_num_tokens: GENERATION_OPTIONS.prompt_lookup_num_tokens.default,
};

/**
 * Checks options strictly and fills in the defaults; draws a seed when there is none.
 * @throws OptionError naming the option, what was wanted and what was found.
 */
export function resolveOptions(options: GenerationOptions, defaults: GenerationDefaults): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw new OptionError(`The generation options are ${show(options)}; wanted an object.`);
  }
  checkOptions(options, GENERATION_OPTIONS, "generation option");
  const { stop = defaults.stop ?? [], overflow = "error", signal, onPrefill } = options;
  const numbers = NUMERIC_OPTIONS.map((name) => [
    name,
    options[name] ?? (name === "seed" ? drawSeed() : { ...OWN_DEFAULTS, ...defaults }[name]),
  ]);
  return {
    ...(Object.fromEntries(numbers) as Record<NumericOption, number>),
    max_length: options.max_tokens === undefined ? (defaults.max_length ?? Infinity) : Infinity,
    stop: typeof stop === "string" ? [stop] : stop,
    ...(defaults.suppress_tokens && { suppress_tokens: defaults.suppress_tokens }),
    overflow,
    signal,
    onPrefill,
  };
}

function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
