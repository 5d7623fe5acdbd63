import type { GenerationOptions } from "../../../src/index.ts";
import type { Language } from "../strings/strings.ts";
import { Signal } from "../ui/signal.ts";

const KEY = "ziya-preferences";

export type Theme = "system" | "light" | "dark";

/** The settings of an answer that the page has fields for. */
export const SAMPLING = [
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "repetition_penalty",
  "max_tokens",
  "seed",
] as const;
export type SamplingName = (typeof SAMPLING)[number];
type SamplingChoice = { readonly [Name in SamplingName]?: number };

/** A model that the page opens by itself the next time: the embedded one, or one of the browser's storage. */
export type ModelChoice =
  | { readonly kind: "embedded" }
  /** With the address that it comes from, by which a download goes on that the end of a visit has cut. */
  | { readonly kind: "stored"; readonly name: string; readonly url?: string };

interface Preferences {
  /** The browser's, where the person has not chosen. */
  readonly language?: Language;
  readonly theme: Theme;
  readonly sampling: SamplingChoice;
  readonly overflow: "truncate" | "error";
  readonly model: ModelChoice;
  /** Tokens, by a model's name; its own where the person has not chosen. */
  readonly contexts: Readonly<Record<string, number>>;
  readonly panel: boolean;
}

const DEFAULTS: Preferences = {
  theme: "system",
  sampling: {},
  overflow: "truncate",
  model: { kind: "embedded" },
  contexts: {},
  panel: false,
};

export const preferences = new Signal<Preferences>(read());

function read(): Preferences {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return { ...DEFAULTS, ...(stored as Partial<Preferences>) };
  } catch {
    return DEFAULTS;
  }
}

export function prefer(changes: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...changes };
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences.value));
  } catch {
    // A browser that keeps nothing: they hold until the tab is closed.
  }
}

/**
 * Generation options from the fragment of the page's address, for example #temperature=0&max_tokens=32; the engine
 * checks them. The query is not the page's own: others add to it (utm_source).
 */
export function optionsOfAddress(): Record<string, number> {
  const parameters = [...new URLSearchParams(location.hash.slice(1))];
  return Object.fromEntries(parameters.map(([name, value]) => [name, Number(value)]));
}

/** What an answer is asked for with: the person's settings, and above them those of the address. */
export function generationOptions(): GenerationOptions {
  const { sampling, overflow } = preferences.value;
  return { overflow, ...sampling, ...optionsOfAddress() };
}
