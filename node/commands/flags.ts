import { checkOption, type Option, type OptionTable } from "../../src/generate/option.ts";
import type { Flags, Values } from "./command.ts";

const flagOf = (name: string, flag: Option["flag"]) => flag?.[2] ?? name.replaceAll("_", "-");

/** The flags of those options that have one. */
export function flagsOf(table: OptionTable): Flags {
  const flags = Object.entries(table).flatMap(([name, { kind, flag }]) =>
    flag ? [[flagOf(name, flag), flagFor(kind, flag)] as const] : [],
  );
  return Object.fromEntries(flags);
}

function flagFor(kind: Option["kind"], [value, help]: NonNullable<Option["flag"]>): Flags[string] {
  return kind === "boolean" ? { help } : { value, help, multiple: kind === "texts" };
}

/**
 * The options that `flagsOf` made flags of, as they were given. What no option may be the library refuses by name.
 * @throws OptionError by the flag's name, where the option has another one.
 */
export function optionsOf(values: Values, table: OptionTable): object {
  const given = Object.entries(table).map(([name, option]) => {
    const flag = flagOf(name, option.flag);
    const value = readFlag(values, flag, option);
    if (value !== undefined && option.flag?.[2]) checkOption(`--${flag}`, value, option);
    return [name, value];
  });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

function readFlag(values: Values, flag: string, { kind }: Option): unknown {
  if (kind === "number" || kind === "size") return values.number(flag);
  if (kind === "boolean") return values.on(flag) || undefined;
  return kind === "texts" ? values.texts(flag) : values.text(flag);
}
