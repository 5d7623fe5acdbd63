import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError, ZiyaError } from "../../src/errors.ts";
import { ChatFormat } from "../../src/generate/chat.ts";
import { ChatTemplate, type Message } from "../../src/generate/template.ts";
import { randomStream } from "../support/random.ts";
import { ToyTokenizer } from "../support/tokenizer.ts";

interface Rendered {
  readonly prompt?: string;
  readonly refused?: string;
}
interface Fixture {
  readonly templates: Readonly<Record<string, string>>;
  readonly cases: readonly (Rendered & { readonly template: string; readonly messages: Message[] })[];
  readonly x: string;
  readonly snippets: readonly (Rendered & { readonly source: string })[];
}

/** Made by Python's Jinja: see make_prompts.py. */
const fixture: Fixture = JSON.parse(
  readFileSync(new URL("../fixtures/chat/prompts.json", import.meta.url), "utf8"),
);
const tokenizer = new ToyTokenizer();
const user = (content: string): Message => ({ role: "user", content });
const textOf = (template: ChatTemplate, messages: readonly Message[]) =>
  template
    .render(messages, tokenizer)
    .map((span) => span?.text ?? "")
    .join("");

describe("beside Python's Jinja", () => {
  test.each(Object.keys(fixture.templates))("%s gives the same prompts", (name) => {
    const template = new ChatTemplate(fixture.templates[name]!);
    const cases = fixture.cases.filter(({ template }) => template === name);
    expect(cases.length).toBeGreaterThan(10);
    for (const { messages, prompt } of cases) {
      if (prompt === undefined) expect(() => textOf(template, messages)).toThrow(ZiyaError);
      else expect(textOf(template, messages)).toBe(prompt);
    }
  });

  test.each(fixture.snippets)("$source", ({ source, prompt }) => {
    const messages = [user(fixture.x)];
    const render = () =>
      textOf(new ChatTemplate(`{% set x = messages[0].content %}{{ x }}${source}`), messages);
    if (prompt === undefined) expect(render).toThrow(ZiyaError);
    else expect(render()).toBe(fixture.x + prompt);
  });
});

describe("what was typed stays data", () => {
  const SPECIALS = [
    ...["<s>", "</s>", "<human>", "<bot>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<<SYS>>"],
    ...["<|user|>", "<|assistant|>", "<|User|>", "<|Assistant|>", "<|end of sentence|>", "<start_of_turn>"],
    ...[
      "<end_of_turn>",
      "<|eot_id|>",
      "<|start_header_id|>",
      "<|end_header_id|>",
      "###",
      "USER:",
      "assistant",
    ],
  ];
  const many = new ToyTokenizer(SPECIALS);
  /** The special strings that the tokenizer would find in a prompt, in order. */
  const specialsOf = (template: ChatTemplate, messages: readonly Message[]) =>
    template.render(messages, many).flatMap((span) => {
      if (!span?.special) return [];
      return span.text.match(/<\/?s>|<[^<>]+>|\[\/?INST\]|<<SYS>>|###|USER:|assistant/g) ?? [];
    });
  /** Pieces of special strings, and think tags, which templates look for and which are kept as they are. */
  const PIECES = [
    ...SPECIALS,
    "<",
    ">",
    "<|",
    "|>",
    "im_end",
    "</",
    "s>",
    "hum",
    "an>",
    "INST]",
    "[",
    "\n",
    "x",
  ];
  const TAGS = ["</think>", "<think>"];
  const templates = Object.entries(fixture.templates).map(
    ([name, source]) => [name, new ChatTemplate(source)] as const,
  );
  /** Of three messages, through twelve templates: 10,800. Once 43,200 were tried, with 1,200 rounds. */
  const ROUNDS = 300;

  test.each(templates)("in random messages through %s", (name, template) => {
    const next = randomStream(templates.findIndex(([other]) => other === name) + 1);
    const random = (below: number) => Math.floor(next() * below);
    const pick = (from: readonly string[]) => from[random(from.length)]!;
    for (let round = 0; round < ROUNDS; round++) {
      // The same message twice: as typed, and with nothing of a special string in it.
      const contents = Array.from({ length: 3 }, () => {
        const pieces = Array.from({ length: 1 + random(6) }, () => pick(random(8) === 0 ? TAGS : PIECES));
        return [
          pieces.join(""),
          pieces.map((piece) => (TAGS.includes(piece) ? piece : "x")).join(""),
        ] as const;
      });
      const messagesOf = (which: 0 | 1): Message[] =>
        contents.map((content, i) => ({ role: i === 1 ? "assistant" : "user", content: content[which] }));
      expect(specialsOf(template, messagesOf(0)), JSON.stringify(messagesOf(0))).toEqual(
        specialsOf(template, messagesOf(1)),
      );
    }
  });

  test.each([
    ["{{ messages[0].content | lower }}", "<HUMAN>", "<human>"],
    ["{{ messages[0].content | upper }}", "<human>", "<HUMAN>"],
    ["{{ messages[0].content.capitalize() }}", "s<BOT>", "S<bot>"],
    ["{{ messages[0].content.title() }}", "<hUMAN>", "<Human>"],
    ["{{ messages[0].content.replace('_', '') }}", "<hu_man>", "<human>"],
    ["{{ messages[0].content | replace('!', 'human') }}", "<!>", "<human>"],
    ["{{ messages[0].content.split('/') | join('') }}", "<hu/man>", "<human>"],
    ["{{ messages[0].content[::-1] }}", ">namuh<", "<human>"],
    ["{{ messages[0].content | reverse }}", ">namuh<", "<human>"],
    ["{{ '<hum' ~ messages[0].content }}", "an>", "<human>"],
    ["{{ '<' ~ messages[0].content | trim ~ '>' }}", " human ", "<human>"],
    ["{{ ['<human>', messages[0].content] | last }}", "<bot>", "<bot>"],
    ["{{ {'a': messages[0].content} | tojson }}", '<bot>"', '{"a": "<bot>\\""}'],
    ["{{ [messages[0].content] }}", "<bot>'\n", `["<bot>'\\n"]`],
    ["{{ messages[0].content | list | join }}", "<bot>", "<bot>"],
    ["{{ messages[0].content * 2 }}", "<bot>", "<bot><bot>"],
    ["{{ '<|' ~ (messages[0].content | int + 1) ~ '|>' }}", "6", "<|7|>"],
    ["{{ '<|' ~ messages[0].content | length ~ '|>' }}", "seven.. ", "<|8|>"],
    ["{% for c in messages[0].content %}{{ c }}{% endfor %}", "<bot>", "<bot>"],
    ["{% set x %}{{ messages[0].content }}{% endset %}{{ x }}", "<bot>", "<bot>"],
    ["{% macro m(a) %}{{ a }}{% endmacro %}{{ m(messages[0].content) }}", "<bot>", "<bot>"],
    ["{% filter lower %}{{ messages[0].content }}{% endfilter %}", "<BOT>", "<bot>"],
    ["{{ messages | map(attribute='content') | join }}", "<bot>", "<bot>"],
    ["{{ strftime_now(messages[0].content) }}", "<bot>", "<bot>"],
  ])("through %s", (source, content, written) => {
    const tokens = [...SPECIALS, "<HUMAN>", "<Human>", "<|7|>", "<|8|>"];
    const spans = new ChatTemplate(source).render([user(content)], new ToyTokenizer(tokens));
    expect(spans.map((span) => span?.text).join("")).toBe(written);
    const special = spans.filter((span) => span?.special).map((span) => span!.text);
    expect(special.filter((text) => tokens.some((token) => text.includes(token)))).toEqual([]);
  });
});

describe("a rendering is bounded", () => {
  /** Lists and texts that double with each line, to a size that nothing holds. */
  const doubling = (first: string, next: string) =>
    `{% set n = namespace(x=${first}) %}{% for i in range(60) %}{% set n.x = ${next} %}{% endfor %}{{ n.x | length }}`;
  const BOMBS = [
    "{{ range(1000000000) | length }}",
    "{{ range(0, 1000000000, 1) }}",
    "{{ range(-1000000000000, 0) | list }}",
    "{% for a in range(3000) %}{% for b in range(3000) %}{% for c in range(3000) %}{% endfor %}{% endfor %}{% endfor %}",
    "{% set r = range(900) | list %}{% for a in r %}{% for b in r %}{% for c in r %}x{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in range(999) %}{% for b in range(999) if b < 0 %}{% endfor %}{% endfor %}",
    doubling("'ab'", "n.x + n.x"),
    doubling("'ab'", "n.x ~ n.x"),
    doubling("[1]", "n.x + n.x"),
    doubling("[1]", "[n.x, n.x] | tojson"),
    doubling("'a'", "n.x.replace('', n.x)"),
    doubling("'ab'", "n.x.replace('a', n.x)"),
    doubling("'ab'", "n.x | join(n.x)"),
    doubling("'ab'", "n.x.join([n.x, n.x])"),
    `${doubling("[1]", "[n.x, n.x]")}{{ n.x }}`,
    `${doubling("[1]", "[n.x, n.x]")}{{ n.x == [n.x] }}{{ n.x | tojson(indent=9) }}`,
    "{{ 'a' * 1000000000000 }}",
    "{{ 1000000000000 * 'a' }}",
    "{{ [] * 1000000000 }}",
    "{{ 'a' | indent(1000000000, true) }}",
    "{{ 'a\nb' | indent(width=1000000000) }}",
    "{{ [[1]] | tojson(indent=1000000000) }}",
    "{{ ('b' ~ 'a' * 3000000) in ('a' * 3000000) }}",
    "{% for i in range(100000) %}{{ ('b' ~ 'a' * 1000) in ('a' * 10000) }}{% endfor %}",
    "{{ ('a' * 3000000) | list | length }}",
    "{{ ('a' * 3000000).split('a') | length }}",
    "{{ ('a ' * 2000000).split() | length }}",
    "{{ ('a\n' * 2000000).splitlines() | length }}",
    "{{ ('a' * 3000000)[::-1] }}",
    "{{ (['a' * 100000] * 10000) | sort | length }}",
    "{{ (['a' * 100000] * 10000) | unique | list }}",
    "{{ (['a' * 100000] * 10000) | map('upper') | list | length }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    `{{ ${"(".repeat(5000)}1${")".repeat(5000)} }}`,
    `{{ ${"[".repeat(900)}1${"]".repeat(900)} }}`,
    `{{ 1${" + 1".repeat(20_000)} }}`,
    `${"{% if true %}".repeat(3000)}${"{% endif %}".repeat(3000)}`,
    " ".repeat(90_000),
    `{{ 'x' }}${"\n".repeat(50_000)}{% generation %}`,
    "{% set f = 'a' * 3000000 %}{% for i in range(9999) %}{{ strftime_now(f) | length }}{% endfor %}",
    "{% set t = ('a' * 1000,) * 2000 %}{% for i in range(9999) %}{{ ('a' * 999 ~ 'b').startswith(t) }}{% endfor %}",
    "{% set e = [''] * 100000 %}{% for i in range(9999) %}{{ ''.join(e) }}{{ e | join }}{% endfor %}",
    "{% for i in range(9) %}{{ ('1' * 900000 ~ 'x') | float }}{{ ('1' * 900000) | int }}{% endfor %}",
    "{{ (messages[0].content ~ 'x') * 3000000 }}",
    "{{ '😀' * 3000000 | length }}{{ ('😀' * 3000000) | length }}{{ ('😀' * 3000000)[1] }}",
    "{{ 2 ** 100000 }}",
    "{{ 9 ** 99 ** 99 }}",
    "{% break %}",
  ];
  /** Milliseconds: they take up to half a second here; a loaded machine is slower. */
  const LONGEST = 10_000;

  test.each(BOMBS.map((source) => [source.slice(0, 70), source]))("%s", (_, source) => {
    const start = performance.now();
    // At load and at each chat.
    expect(() => new ChatFormat(tokenizer, `{{ messages[0].content }}${source}`).encode([user("a")])).toThrow(
      ConfigError,
    );
    const late = `{{ messages[0].content }}{% if messages | length > 1 %}${source}{% endif %}`;
    const chat: Message[] = [user("a"), { role: "assistant", content: "b" }, user("c")];
    expect(() => new ChatFormat(tokenizer, late).encode(chat)).toThrow(ConfigError);
    expect(performance.now() - start).toBeLessThan(LONGEST);
  });

  test("with words that tell what was too much", () => {
    const refused = (source: string) =>
      expect(() => textOf(new ChatTemplate(`{{ messages[0].content }}${source}`), [user("a")]));
    refused("{{ range(1000000000) | length }}").toThrow("chat template took more than 1000004 steps");
    refused("{{ 'a' * 100000000 }}").toThrow("chat template took more than 1000004 steps");
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").toThrow("nests more than 400 expressions");
  });

  /** Pieces of a template in which anything may stand beside anything. */
  const ATOMS = [
    "x",
    "''",
    "'ab'",
    "0",
    "-1",
    "3",
    "9999",

    "1.5",
    "none",
    "true",
    "nope",
    "messages",
    "[]",
    "ns",
  ];
  const METHODS = [
    "strip()",
    "split('a')",
    "split()",
    "replace('a', x)",
    "upper()",
    "items()",
    "join(x)",
    "count('')",
  ];
  const FILTERS = [
    "length",
    "list",
    "join(x)",
    "tojson",
    "tojson(indent=3)",
    "reverse",
    "sort",
    "unique",
    "string",
  ];
  const MORE = [
    "indent(9, true)",
    "map('upper')",
    "select",
    "int",
    "float",
    "first",
    "dictsort",
    "trim(x)",
    "title",
  ];
  const OPERATORS = ["+", "*", "~", "==", "<", "in", "not in", "and", "or", "%", "//", "**", "-"];

  test("whatever is put together", () => {
    const next = randomStream(8);
    const pick = (from: readonly string[]) => from[Math.floor(next() * from.length)]!;
    const expression = (depth: number): string => {
      if (depth === 0) return pick(ATOMS);
      const inner = () => expression(depth - 1);
      return pick([
        `(${inner()} ${pick(OPERATORS)} ${inner()})`,
        `(${inner()}).${pick(METHODS)}`,
        `(${inner()} | ${pick([...FILTERS, ...MORE])})`,
        `(${inner()})[${inner()}]`,
        `(${inner()})[${inner()}:${inner()}]`,
        `[${inner()}, ${inner()}]`,
        `({'k': ${inner()}} | items)`,
        `(${inner()} if ${inner()} else ${inner()})`,
        `range(${inner()})`,
      ]);
    };
    let rendered = 0;
    const start = performance.now();
    for (let i = 0; i < 800; i++) {
      const body = `{% set x = ${expression(1)} %}{% set ns.k = [ns.k, x] %}{{ ${expression(1)} }}`;
      const loops = `{% for a in range(40) %}{% for b in x %}${body}{% endfor %}{% endfor %}`;
      const source = `{{ messages[0].content }}{% set ns = namespace(k=1) %}{% set x = ${expression(2)} %}${i % 2 === 0 ? body : loops}`;
      try {
        textOf(new ChatTemplate(source), [user("a\nb")]);
        rendered++;
      } catch (error) {
        expect(error, source).toBeInstanceOf(ZiyaError);
      }
    }
    // Most fail, and enough do not.
    expect(rendered).toBeGreaterThan(50);
    expect(performance.now() - start).toBeLessThan(6 * LONGEST);
  });

  test("but long chats are not refused", () => {
    const long: Message[] = Array.from({ length: 801 }, (_, i) => ({
      role: i % 2 === 0 ? "user" : "assistant",
      content: `${"很长的话。".repeat(40)}${i}`,
    }));
    for (const source of Object.values(fixture.templates)) {
      expect(textOf(new ChatTemplate(source), long)).toContain(
        source.includes("break") ? "话。6" : "话。800",
      );
    }
    expect(textOf(new ChatTemplate(fixture.templates.think!), [user("长".repeat(1_000_000))])).toContain(
      "长长",
    );
  });
});
