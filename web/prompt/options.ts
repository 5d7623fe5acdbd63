import type { GenerationDefaults, GenerationOptions } from "../../src/index.ts";
import { notSupported } from "./errors.ts";
import { type CreateCoreOptions, type ModelParams, SAMPLING_MODES, type SamplingMode } from "./types.ts";

/** How a session draws its answers. */
export interface SessionSampling {
  readonly samplingMode: SamplingMode;
  readonly topK: number;
  readonly temperature: number;
  /** What the engine is told: nothing of what is as its model has it. */
  readonly options: Pick<GenerationOptions, "top_k" | "temperature">;
}

/** Candidates that a model draws from by itself; with more, the host does, and each token waits for it. */
const MOST_CANDIDATES = 64;
/** Above it, what is drawn is hardly the model's any more. */
const MOST_TEMPERATURE = 2;

/** By how much a mode makes the model's own temperature more. */
const TEMPERING: Readonly<Record<SamplingMode, number>> = {
  "most-predictable": 0,
  predictable: 0.5,
  balanced: 1,
  creative: 1.25,
  "most-creative": 1.5,
};

export function paramsOf({ top_k: topK, temperature }: GenerationDefaults): ModelParams {
  return {
    // 0 is "all of them".
    defaultTopK: topK || MOST_CANDIDATES,
    maxTopK: Math.max(topK, MOST_CANDIDATES),
    defaultTemperature: temperature,
    maxTemperature: Math.max(temperature, MOST_TEMPERATURE),
  };
}

/**
 * Checks what does not depend on the model.
 * @throws TypeError or RangeError for what the draft does not allow.
 * @returns the first thing asked for that is not supported, where there is one.
 */
export function unsupportedIn(options: CreateCoreOptions): string | undefined {
  const { samplingMode, topK, temperature, expectedInputs = [], expectedOutputs = [], tools = [] } = options;
  if (samplingMode !== undefined && (topK ?? temperature) !== undefined) {
    throw new TypeError("samplingMode is set beside topK or temperature; wanted one or the other.");
  }
  if (samplingMode !== undefined && !SAMPLING_MODES.includes(samplingMode)) {
    throw new TypeError(`samplingMode is ${String(samplingMode)}; wanted ${SAMPLING_MODES.join(", ")}.`);
  }
  if (topK !== undefined && !(topK >= 1)) throw new RangeError(`topK is ${topK}; wanted at least 1.`);
  if (temperature !== undefined && !(temperature >= 0)) {
    throw new RangeError(`temperature is ${temperature}; wanted at least 0.`);
  }
  const expected = [...expectedInputs, ...expectedOutputs];
  // A RangeError for what is no tag of a language.
  for (const { languages = [] } of expected) Intl.getCanonicalLocales(languages);
  const other = expected.find(({ type }) => type !== "text");
  if (other) return `content of type "${other.type}"`;
  return tools.length > 0 ? "tools" : undefined;
}

/** @throws NotSupportedError for constrained answers, TypeError for what goes with none. */
export function refuseConstraint(options: {
  readonly responseConstraint?: unknown;
  readonly omitResponseConstraintInput?: unknown;
}): void {
  const { responseConstraint, omitResponseConstraintInput } = options;
  if (responseConstraint) {
    throw notSupported("responseConstraint is set; answers of this model cannot be constrained.");
  }
  if (omitResponseConstraintInput) {
    throw new TypeError("omitResponseConstraintInput is set without a responseConstraint.");
  }
}

export function samplingOf(options: CreateCoreOptions, defaults: GenerationDefaults): SessionSampling {
  const { samplingMode = "balanced", topK, temperature } = options;
  const { defaultTopK, maxTopK, maxTemperature } = paramsOf(defaults);
  const candidates = topK === undefined ? undefined : Math.floor(Math.min(topK, maxTopK));
  const given = temperature === undefined ? undefined : Math.min(temperature, maxTemperature);
  // A model that is greedy by itself would be so in every mode.
  const tempered = (defaults.temperature || 1) * TEMPERING[samplingMode];
  const drawn = given ?? (samplingMode === "balanced" ? undefined : tempered);
  return {
    samplingMode,
    topK: candidates ?? defaultTopK,
    temperature: drawn ?? defaults.temperature,
    options: {
      ...(candidates !== undefined && { top_k: candidates }),
      ...(drawn !== undefined && { temperature: drawn }),
    },
  };
}
