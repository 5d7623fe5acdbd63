import type { Message } from "../../../src/index.ts";
import type { WebEngine } from "../../api.ts";
import type { Chat } from "../state/chat.ts";
import { generationOptions } from "../state/preferences.ts";
import type { Session } from "../state/session.ts";
import { t } from "../strings/strings.ts";
import { h, svg } from "../ui/dom.ts";
import { number } from "../ui/format.ts";

/** How long the person's typing rests before its tokens are counted. */
const REST_MS = 300;
const CIRCLE = 2 * Math.PI * 8;

/**
 * A ring that shows how much of the context the conversation takes, with what is being typed.
 * @param words Where it is said what happens at the end of the context, once that has come.
 */
export function contextMeter(
  chat: Chat,
  session: Session,
  box: HTMLTextAreaElement,
  words: HTMLElement,
  gone: AbortSignal,
): HTMLElement {
  const ring = svg("circle", { cx: 10, cy: 10, r: 8, class: "ring-used", "stroke-dasharray": `0 ${CIRCLE}` });
  const label = h("span", {});
  const element = h(
    "span",
    { class: "context", id: "context", title: t().contextHint },
    svg(
      "svg",
      { viewBox: "0 0 20 20", class: "ring", "aria-hidden": "true" },
      svg("circle", { cx: 10, cy: 10, r: 8 }),
      ring,
    ),
    label,
  );
  element.hidden = true;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;
  const count = async () => {
    const { value: state } = session.state;
    if (state.kind !== "ready") {
      element.hidden = true;
      return;
    }
    const mine = ++turn;
    const messages: Message[] = chat.talk.value.turns
      .filter(({ content }) => content !== "")
      .map(({ role, content }) => ({ role, content }));
    if (box.value.trim() !== "") messages.push({ role: "user", content: box.value });
    const { context } = state.engine.info;
    const last = chat.talk.value.turns.at(-1);
    // Counted by the engine already, unless something is being typed.
    const counted = messages.at(-1)?.role === "assistant" ? last?.usage : undefined;
    let used = counted ? counted.prompt_tokens + counted.completion_tokens : 0;
    // A prompt ends with a question: behind an answer of another visit stands the shortest one that there is.
    if (!counted && messages.at(-1)?.role === "assistant") messages.push({ role: "user", content: "?" });
    if (!counted && messages.length > 0) used = await tokensOf(state.engine, messages);
    if (mine !== turn || gone.aborted) return;
    const full = used > context - reserve(state.engine);
    element.hidden = false;
    element.classList.toggle("full", full);
    ring.setAttribute("stroke-dasharray", `${CIRCLE * Math.min(1, used / context)} ${CIRCLE}`);
    label.textContent = t().contextUsed(number(used), number(context));
    words.hidden = !full;
    words.textContent = full ? t().contextFull[generationOptions().overflow ?? "error"] : "";
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => void count(), REST_MS);
  };
  box.addEventListener("input", soon);
  chat.talk.listen(gone, soon);
  chat.activity.listen(gone, ({ kind }) => kind === "idle" && soon());
  session.state.listen(gone, soon);
  return element;
}

/** Tokens that "truncate" keeps free for the answer. */
function reserve({ info }: WebEngine): number {
  return Math.min(generationOptions().max_tokens ?? info.defaults.max_tokens, info.context / 4);
}

/**
 * How many of the first messages the model no longer sees when one more is answered: the oldest turns, until the rest
 * leaves room for the answer.
 */
export async function forgotten(engine: WebEngine, messages: readonly Message[]): Promise<number> {
  const room = engine.info.context - reserve(engine);
  const asked: readonly Message[] = [...messages, { role: "user", content: "?" }];
  const starts = asked.flatMap(({ role }, i) => (role === "user" ? [i] : []));
  // The fewer turns, the fewer tokens: the first start that fits is found by halving.
  let [none, fits] = [-1, starts.length - 1];
  while (fits - none > 1) {
    const middle = (none + fits) >> 1;
    if ((await tokensOf(engine, asked.slice(starts[middle]))) <= room) fits = middle;
    else none = middle;
  }
  return starts[fits]!;
}

/** Tokens of a prompt; one that the template refuses has none. */
async function tokensOf(engine: WebEngine, messages: readonly Message[]): Promise<number> {
  try {
    return (await engine.encodeChat(messages)).length;
  } catch {
    return 0;
  }
}
