import type { Chat } from "../state/chat.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";

/** The nine skills of ziya-tiny, in both of its languages. */
const EXAMPLES = [
  { skill: "identity", en: "Who are you?", zh: "你好,你是谁?" },
  { skill: "sums", en: "What is 12 plus 7?", zh: "48+87=?" },
  { skill: "facts", en: "Which city is the capital of Japan?", zh: "法国的首都是哪里?" },
  { skill: "translate", en: "How do you say apple in Chinese?", zh: "苹果用英语怎么说?" },
  { skill: "reverse", en: "Reverse this: apple stone cat", zh: "倒过来写:春夏秋冬" },
  { skill: "copy", en: "Repeat: lion tree answer", zh: "重复:苹果 香蕉 西瓜" },
  { skill: "sentiment", en: "Sentiment: The trip is really useless.", zh: "判断情感:这部电影非常好看。" },
  {
    skill: "topic",
    en: "Name the topic: Everyone talked about the software yesterday.",
    zh: "主题分类:他每天都关心机票。",
  },
  { skill: "memory", en: "My name is Anna.", zh: "我叫小明。" },
] as const;

/** What an empty conversation shows: what this is, and what to ask. */
export function makeWelcome(chat: Chat, ask: (text: string) => void, gone: AbortSignal): HTMLElement {
  const chip = (text: string, lang: string) =>
    h("button", { type: "button", class: "chip", lang, onclick: () => ask(text) }, text);
  const element = h(
    "section",
    { class: "welcome", "aria-labelledby": "welcome-title" },
    h(
      "header",
      {},
      h("p", { class: "seal", "aria-hidden": "true" }, "子牙"),
      h("h2", { id: "welcome-title" }, t().welcome),
    ),
    h("p", { class: "soft lead" }, t().welcomeText),
    h("h3", { class: "soft" }, t().examples),
    h(
      "dl",
      { class: "examples" },
      ...EXAMPLES.map(({ skill, en, zh }) =>
        h("div", {}, h("dt", {}, t().skills[skill]), h("dd", {}, chip(zh, "zh-Hans"), chip(en, "en"))),
      ),
    ),
  );
  chat.talk.listen(gone, ({ turns }) => {
    element.hidden = turns.length > 0;
  });
  return element;
}
