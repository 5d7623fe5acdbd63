import { en, type Strings } from "./en.ts";
import { zh } from "./zh.ts";

export const LANGUAGES = { en, "zh-Hans": zh } as const satisfies Record<string, Strings>;
export type Language = keyof typeof LANGUAGES;

let current: Language = "en";

/** The page's words. */
export function t(): Strings {
  return LANGUAGES[current];
}

export function language(): Language {
  return current;
}

export function setLanguage(language: Language): void {
  current = language;
  document.documentElement.lang = language;
  document.title = t().title;
}

/** Of the languages that the person prefers, the first that the page has. */
export function preferredLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    if (/^zh\b/i.test(tag)) return "zh-Hans";
    if (/^en\b/i.test(tag)) return "en";
  }
  return "en";
}
