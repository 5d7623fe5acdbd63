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
  /**
   * Same seed, same tokens: by the same driver, at the same rung and with the same `decode`, in Node as in a browser, beside
   * others as alone, and where the device was lost in between. Another driver rounds otherwise: there, another token may be
   * drawn where the draw falls between two to the last digits of their logits. Without it one is drawn and reported in the
   * result.
   */
  readonly seed?: number;
  /** The longest answer in tokens; the context may hold fewer. */
  readonly max_tokens?: number;
  /**
   * Drafts of up to so many tokens are copied from where the last few stood before, and confirmed several in a pass: quicker
   * where an answer quotes, and never another answer. 0, the default, for none.
   */
  readonly prompt_lookup_num_tokens?: number;
  /**
   * Above 1, a beam search: this many answers are followed at once, by the log probability of the whole, and the text comes when
   * it ends. It takes the most likely as temperature 0 does, and a temperature above that beside it is refused.
   */
  readonly num_beams?: number;
  /** Answers of a beam search, and of nothing else, rank by their log probability / tokens ** this: above 0 for longer ones. Default 1. */
  readonly length_penalty?: number;
  /** Whether a beam search ends with its `num_beams`-th answer; if not, when none that is under way ranks higher. Default false. */
  readonly early_stopping?: boolean;
  /** How many answers of a beam search the result has, at most `num_beams`. Default 1. */
  readonly num_return_sequences?: number;
  /** Texts that end the answer and are not part of it. A beam search goes on behind them, and what it found is cut there. */
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

/** How a beam search goes, all present. */
export interface BeamOptions extends Readonly<Record<BeamOption, number>> {
  readonly early_stopping: boolean;
}

/** Options with every default filled in. */
export interface ResolvedOptions extends Sampling, BeamOptions {
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
export type GenerationDefaults = Pick<ResolvedOptions, SamplingOption | "max_tokens" | "suppress_tokens"> &
  Partial<BeamOptions> & {
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
  num_beams: {
    ...integer(1, MOST_DRAWN),
    default: 1,
    key: "num_beams",
    flag: ["N", "Above 1: a beam search, which follows N answers at once; the text comes at the end."],
  },
  length_penalty: {
    ...number(-10, 10),
    default: 1,
    key: "length_penalty",
    flag: ["L", "Beams rank by log probability / tokens ** L; above 0 for longer ones. Default: 1."],
  },
  early_stopping: {
    kind: "boolean",
    key: "early_stopping",
    flag: ["", "End a beam search with its N-th answer, whatever those under way may become."],
  },
  num_return_sequences: {
    ...integer(1, MOST_DRAWN),
    default: 1,
    key: "num_return_sequences",
    flag: ["N", "How many of a beam search's answers to give, best first."],
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
/** The numeric options of a beam search. */
type BeamOption = "num_beams" | "length_penalty" | "num_return_sequences";
/** The numeric options that are settings of the sampler, with a default in Ziya's card and generation_config.json. */
export type SamplingOption = Exclude<NumericOption, OwnOption>;
type OwnOption = "seed" | "max_tokens" | NamesOf<{ readonly default: number }>;

const NUMERIC_OPTIONS = (Object.keys(GENERATION_OPTIONS) as (keyof GenerationOptions)[]).filter(
  (name): name is NumericOption => GENERATION_OPTIONS[name].kind === "number",
);
const OWN_DEFAULTS = {
  prompt_lookup_num_tokens: GENERATION_OPTIONS.prompt_lookup_num_tokens.default,
  num_beams: GENERATION_OPTIONS.num_beams.default,
  length_penalty: GENERATION_OPTIONS.length_penalty.default,
  num_return_sequences: GENERATION_OPTIONS.num_return_sequences.default,
};
/** How a beam search goes. */
export const BEAM_OPTIONS: readonly (keyof BeamOptions)[] = [
  "num_beams",
  "length_penalty",
  "early_stopping",
  "num_return_sequences",
];
export const SAMPLING_OPTIONS: readonly SamplingOption[] = NUMERIC_OPTIONS.filter(
  (name): name is SamplingOption => name !== "seed" && name !== "max_tokens" && !(name in OWN_DEFAULTS),
);

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
  const resolved = Object.fromEntries(numbers) as Record<NumericOption, number>;
  return {
    ...resolved,
    ...resolveBeams(options, resolved),
    early_stopping: options.early_stopping ?? defaults.early_stopping ?? false,
    max_length: options.max_tokens === undefined ? (defaults.max_length ?? Infinity) : Infinity,
    stop: typeof stop === "string" ? [stop] : stop,
    ...(defaults.suppress_tokens && { suppress_tokens: defaults.suppress_tokens }),
    overflow,
    signal,
    onPrefill,
  };
}

/**
 * What a beam search changes of the numbers.
 * @throws OptionError for options that do not go together.
 */
function resolveBeams(
  options: GenerationOptions,
  { num_beams: beams, num_return_sequences: count }: Pick<BeamOptions, "num_beams" | "num_return_sequences">,
): Partial<ResolvedOptions> {
  if ((options.num_return_sequences ?? 1) > beams) {
    throw new OptionError(`num_return_sequences is ${count}; wanted at most num_beams, which is ${beams}.`);
  }
  if (beams === 1) {
    const { length_penalty: penalty = 1, early_stopping: early = false } = options;
    if (penalty === 1 && !early) return { num_return_sequences: 1 };
    const given = early ? "early_stopping is true" : `length_penalty is ${penalty}`;
    throw new OptionError(
      `${given} beside num_beams 1, and only a beam search has several answers to choose among; leave it out, or set num_beams above 1.`,
    );
  }
  for (const name of ["temperature", "prompt_lookup_num_tokens"] as const) {
    if (!options[name]) continue;
    throw new OptionError(
      `${name} is ${options[name]} beside num_beams ${beams}, and a beam search neither draws nor drafts; leave it out, or set num_beams to 1.`,
    );
  }
  return { num_return_sequences: Math.min(count, beams), temperature: 0 };
}

function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
