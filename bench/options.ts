/** What dawnHost() takes to switch Dawn's toggles on, and off those that a dash is before. */
export function toggleFlags(toggles: readonly string[]): string[] {
  const [on, off] = [
    toggles.filter((name) => !name.startsWith("-")),
    toggles.filter((name) => name.startsWith("-")),
  ];
  return [
    `enable-dawn-features=${on.join(",")}`,
    `disable-dawn-features=${off.map((name) => name.slice(1)).join(",")}`,
  ];
}

/** A whole number from 1 on, of an option of a benchmark. */
export function count(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`--${name} is "${text}"; wanted a whole number from 1 on.`);
}

/** One of the names that an option of a benchmark takes. */
export function choice<Name extends string>(name: string, text: string, names: readonly Name[]): Name {
  const found = names.find((known) => known === text);
  if (found) return found;
  throw new Error(`--${name} is "${text}"; wanted ${names.join(", ")}.`);
}
