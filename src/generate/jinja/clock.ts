const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/**
 * A local time as Python's `strftime` writes it in English.
 * @throws Error for a directive that is not among those of chat templates.
 */
export function formatTime(format: string, time: Date): string {
  const pad = (value: number) => String(value).padStart(2, "0");
  const directives: Readonly<Record<string, () => string>> = {
    Y: () => String(time.getFullYear()),
    m: () => pad(time.getMonth() + 1),
    d: () => pad(time.getDate()),
    H: () => pad(time.getHours()),
    M: () => pad(time.getMinutes()),
    S: () => pad(time.getSeconds()),
    B: () => MONTHS[time.getMonth()]!,
    b: () => MONTHS[time.getMonth()]!.slice(0, 3),
    A: () => DAYS[time.getDay()]!,
    a: () => DAYS[time.getDay()]!.slice(0, 3),
    "%": () => "%",
  };
  return format.replace(/%(.?)/gs, (found, letter: string) => {
    const directive = Object.hasOwn(directives, letter) ? directives[letter] : undefined;
    if (!directive) throw new Error(`strftime_now() does not know ${found}`);
    return directive();
  });
}
