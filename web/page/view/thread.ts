import type { Message } from "../../../src/index.ts";
import type { Chat } from "../state/chat.ts";
import { generationOptions } from "../state/preferences.ts";
import type { Session } from "../state/session.ts";
import type { Talk, Turn } from "../state/talk.ts";
import { t } from "../strings/strings.ts";
import { h, iconButton } from "../ui/dom.ts";
import { forgotten } from "./context.ts";
import { answerView, copyText, type MessageView, questionView } from "./message.ts";

/** Pixels from the end within which the reader counts as being there. */
const NEAR = 60;

/** Messages of a conversation that are made in one go: more than a screen has. */
const AT_ONCE = 8;
/** Milliseconds for which more of them are made before the page draws again. */
const SLICE_MS = 6;

/** The messages of the conversation that is shown, between what stands above and below them. */
export function makeThread(
  chat: Chat,
  session: Session,
  above: HTMLElement,
  below: HTMLElement,
  gone: AbortSignal,
): HTMLElement {
  const list = h("ol", { class: "turns", id: "turns" });
  const end = h("div", { class: "column" }, above, list, below);
  const scroller = h(
    "div",
    { class: "thread", tabindex: 0, role: "region", "aria-label": t().conversation },
    end,
  );
  const jump = iconButton("down", t().toEnd, () => follow(true), { class: "round jump" });
  const views = new Map<Turn, MessageView>();
  const divider = h("li", { class: "forgotten" }, t().forgotten);
  let atEnd = true;

  function follow(always = false): void {
    if (always) atEnd = true;
    if (atEnd && chat.talk.value.turns.length > 0) scroller.scrollTop = scroller.scrollHeight;
    jump.hidden = atEnd;
  }
  scroller.addEventListener(
    "scroll",
    () => {
      atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
      jump.hidden = atEnd;
    },
    { passive: true },
  );
  // What grows below the reader's place, a picture of code or the composer, keeps the end in sight.
  const watcher = new ResizeObserver(() => follow());
  watcher.observe(end);
  watcher.observe(scroller);
  gone.addEventListener("abort", () => watcher.disconnect());

  const viewOf = (turn: Turn) => {
    const view = views.get(turn) ?? (turn.role === "user" ? questionView : answerView)(turn, chat);
    views.set(turn, view);
    return view;
  };
  /** Turns before this one are still to be made. */
  let first = 0;
  /** Makes a long conversation's beginning behind its end, a few milliseconds at a time. */
  function makeBeginning(talk: Talk): void {
    if (gone.aborted || talk !== chat.talk.value) return;
    const until = performance.now() + SLICE_MS;
    while (first > 0 && performance.now() < until) list.prepend(viewOf(talk.turns[--first]!).element);
    follow();
    if (first > 0) setTimeout(makeBeginning, 0, talk);
    else void markForgotten();
  }

  let shown: string | undefined;
  chat.talk.listen(gone, (talk) => {
    const other = talk.id !== shown;
    shown = talk.id;
    if (other) {
      views.clear();
      first = Math.max(0, talk.turns.length - AT_ONCE);
      if (first > 0) setTimeout(makeBeginning, 0, talk);
    }
    first = Math.min(first, talk.turns.length);
    const turns = new Set(talk.turns);
    for (const turn of views.keys()) if (!turns.has(turn)) views.delete(turn);
    for (const turn of talk.turns.slice(first)) viewOf(turn).update();
    place(
      list,
      talk.turns.slice(first).map((turn) => viewOf(turn).element),
    );
    if (talk.turns.length > 0) follow(other || talk.turns.at(-1)?.content === "");
    else scroller.scrollTop = 0;
    void markForgotten();
  });

  // At most once a frame, however many tokens came.
  let frame = 0;
  chat.grown.listen(gone, (turn) => {
    if (!turn || frame) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      views.get(turn)?.update();
    });
  });
  chat.activity.listen(gone, () => {
    for (const view of views.values()) view.update();
  });

  /** Draws a line above which the model no longer sees what was said, where that is so. */
  async function markForgotten(): Promise<void> {
    const { value: state } = session.state;
    const { turns } = chat.talk.value;
    divider.remove();
    if (state.kind !== "ready" || chat.busy || generationOptions().overflow !== "truncate") return;
    const messages: Message[] = turns.map(({ role, content }) => ({ role, content }));
    const from = messages.length > 2 ? await forgotten(state.engine, messages) : 0;
    const seen = turns[from];
    if (from > 0 && seen && chat.talk.value.turns === turns) views.get(seen)?.element.before(divider);
  }

  list.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy=code]");
    const code = button?.closest(".code")?.querySelector("code")?.textContent;
    if (button && code) void copyText(code, button);
  });
  return h("div", { class: "thread-frame" }, scroller, jump);
}

/** Makes `nodes` the children, and leaves those where they are that are in their place. */
function place(parent: HTMLElement, nodes: readonly HTMLElement[]): void {
  const kept = new Set<Element>(nodes);
  for (const child of [...parent.children]) if (!kept.has(child)) child.remove();
  for (const [i, node] of nodes.entries())
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
}
