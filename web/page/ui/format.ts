import type { EngineInfo } from "../../api.ts";
import { language, t } from "../strings/strings.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}

/** Decimal units, as disks and browsers count: "11.8 MB". */
export function bytes(count: number): string {
  const power = count < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  return `${number(value, power === 0 || value >= 100 ? 0 : 1)} ${UNITS[power]}`;
}

/** Tokens per second: one place where it is slow. */
export function speed(tokensPerSecond: number): string {
  return number(tokensPerSecond, tokensPerSecond < 10 ? 1 : 0);
}

export function percent(share: number): string {
  return new Intl.NumberFormat(language(), { style: "percent" }).format(Math.min(1, share));
}

/** What the browser tells of the adapter; many leave the most of it out. */
export function adapterName({ description, device, vendor, architecture }: EngineInfo["adapter"]): string {
  return [description || device, vendor, architecture].filter(Boolean).join(" · ") || t().unknown;
}

export function duration(seconds: number): string {
  if (seconds < 60) return t().seconds(Math.max(1, Math.round(seconds)));
  if (seconds < 3600) return t().minutes(Math.round(seconds / 60));
  return t().hours(Math.round(seconds / 360) / 10);
}

export function day(milliseconds: number): string {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(
    milliseconds,
  );
}

/** The language that a text is read aloud in: Chinese where at least a third of its letters are Han characters. */
export function languageOf(text: string): "zh-Hans" | "en" {
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0;
  const latin = text.match(/\p{Script=Latin}/gu)?.length ?? 0;
  return 2 * han >= latin && han > 0 ? "zh-Hans" : "en";
}
