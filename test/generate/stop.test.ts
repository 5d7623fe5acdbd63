import { describe, expect, test } from "vitest";
import { StopFilter } from "../../src/generate/stop.ts";
import { randomStream } from "../support/random.ts";

/** Pushes pieces and returns everything given out, and whether it stopped. */
function run(stops: readonly string[], pieces: readonly string[]) {
  const filter = new StopFilter(stops);
  const given: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = filter.push(piece);
    given.push(text);
    if (stopped) return { given, text: given.join(""), stopped };
  }
  given.push(filter.end());
  return { given, text: given.join(""), stopped: false };
}

/** Character by character over the whole text: the first moment at which a stop string is complete. */
function reference(stops: readonly string[], text: string) {
  for (let end = 1; end <= text.length; end++) {
    const complete = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (complete.length > 0) {
      const longest = Math.max(...complete.map((stop) => stop.length));
      return { text: text.slice(0, end - longest), stopped: true };
    }
  }
  return { text, stopped: false };
}

describe("StopFilter", () => {
  test("finds special strings that the text does not show", () => {
    const push = (stops: string[], ...pieces: [string, string?][]) => {
      const filter = new StopFilter(stops);
      const given: string[] = [];
      for (const [piece, special] of pieces) {
        const { text, stopped } = filter.push(piece, special);
        given.push(text);
        if (stopped) return given;
      }
      return [...given, filter.end(), "(end)"];
    };
    expect(push(["<s>"], ["a", "<s>"], ["b"])).toEqual(["a"]);
    expect(push(["a<s>b"], ["xa", "<s>"], ["b"])).toEqual(["x", ""]);
    // What was held back is given out without it.
    expect(push(["a<s>c"], ["xa", "<s>"], ["b"])).toEqual(["x", "ab", "", "(end)"]);
    expect(push(["<s>c"], ["a", "<s>"])).toEqual(["a", "", "(end)"]);
    expect(push(["<bot>"], ["a"], ["", "<s>"], ["b<", "<s>"])).toEqual(["a", "", "b<", "", "(end)"]);
  });

  test("passes everything through without stop strings", () => {
    expect(run([], ["a", "", "b"]).given).toEqual(["a", "", "b", ""]);
  });

  test("holds back the beginning of a stop string and gives it out when it was none", () => {
    expect(run(["<human>:"], ["你好<", "human", ">", " x"]).given).toEqual(["你好", "", "", "<human> x", ""]);
    expect(run(["<human>:"], ["你好<human"])).toMatchObject({ text: "你好<human", stopped: false });
    expect(run(["<human>:"], ["你好<human", ">: more"])).toMatchObject({ text: "你好", stopped: true });
  });

  test("finds overlapping and nested stop strings", () => {
    expect(run(["aab"], ["aa", "ab"])).toMatchObject({ text: "a", stopped: true });
    expect(run(["abab", "b"], ["a", "b"])).toMatchObject({ text: "a", stopped: true });
    expect(run(["xabyz", "ab"], ["xabyz"])).toMatchObject({ text: "x", stopped: true });
    expect(run(["b", "ab"], ["ab"])).toMatchObject({ text: "", stopped: true });
  });

  test("gives out the same however the text is cut, and no beginning of a stop string before its end", () => {
    const next = randomStream(2024);
    const pick = <T>(items: readonly T[]) => items[Math.floor(next() * items.length)]!;
    const text = (length: number) =>
      Array.from({ length }, () => pick(["a", "b", "\n", "好", "😀"])).join("");
    for (let round = 0; round < 4000; round++) {
      const stops = Array.from({ length: Math.floor(next() * 4) }, () => text(1 + Math.floor(next() * 5)));
      const whole = text(Math.floor(next() * 24));
      const characters = [...whole];
      const pieces: string[] = [];
      while (characters.length > 0) pieces.push(characters.splice(0, Math.floor(next() * 5)).join(""));
      const wanted = reference(stops, whole);
      const { text: given, stopped } = run(stops, pieces);
      expect({ text: given, stopped }, JSON.stringify({ stops, pieces })).toEqual(wanted);
    }
  });
});
