import type { Option, OptionTable } from "../../src/generate/option.ts";
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

/** The options that `flagsOf` made flags of, as they were given. What no option may be the library refuses by name. */
export function optionsOf(values: Values, table: OptionTable): object {
  const given = Object.entries(table).map(([name, option]) => {
    const { kind } = option;
    const flag = flagOf(name, option.flag);
    if (kind === "number" || kind === "size") return [name, values.number(flag)];
    if (kind === "boolean") return [name, values.on(flag) || undefined];
    return [name, kind === "texts" ? values.texts(flag) : values.text(flag)];
  });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
