import type { Chat } from "../state/chat.ts";
import type { Turn } from "../state/talk.ts";
import { t } from "../strings/strings.ts";
import { h, icon, iconButton } from "../ui/dom.ts";
import { languageOf, number, speed } from "../ui/format.ts";
import { isComposing } from "./keys.ts";
import { MarkdownView } from "./markdown.ts";

export interface MessageView {
  readonly element: HTMLLIElement;
  /** Shows what the turn has by now. */
  update(): void;
}

export function questionView(turn: Turn, chat: Chat): MessageView {
  const text = h("div", { class: "bubble", lang: languageOf(turn.content) }, turn.content);
  const actions = h(
    "div",
    { class: "actions" },
    copyButton(turn),
    iconButton("edit", t().edit, () => edit(), { "data-edit": true }),
  );
  const element = h("li", { class: "turn question" }, h("h2", { class: "hidden" }, t().you), text, actions);

  function edit(): void {
    if (chat.busy) return;
    const box = h("textarea", { class: "bubble", rows: 3, "aria-label": t().editMessage }, turn.content);
    const cancel = () => {
      form.replaceWith(text, actions);
      actions.querySelector<HTMLElement>("[data-edit]")?.focus();
    };
    const send = () => chat.resend(turn, box.value);
    const form = h(
      "form",
      {
        class: "edit",
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          send();
        },
      },
      box,
      h("p", { class: "soft" }, t().editHint),
      h(
        "div",
        { class: "row" },
        h("button", { type: "submit", class: "primary" }, t().saveAndSend),
        h("button", { type: "button", onclick: cancel }, t().cancel),
      ),
    );
    box.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      if (event.key === "Escape") cancel();
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      send();
    });
    text.replaceWith(form);
    actions.remove();
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }

  return { element, update: () => {} };
}

export function answerView(turn: Turn, chat: Chat): MessageView {
  const markdown = new MarkdownView();
  const waiting = h("p", { class: "waiting", "aria-hidden": "true" }, h("span"), h("span"), h("span"));
  const note = h("p", { class: "note soft" });
  const again = iconButton("again", t().again, () => chat.regenerate(), { "data-again": true });
  const actions = h("div", { class: "actions" }, copyButton(turn), again, note);
  const element = h(
    "li",
    { class: "turn answer" },
    h("h2", { class: "hidden" }, t().ziya),
    waiting,
    markdown.element,
    actions,
  );
  let shown = "";
  const update = () => {
    const { value } = chat.activity;
    const running = value.kind !== "idle" && value.turn === turn;
    element.toggleAttribute("data-running", running);
    element.setAttribute("aria-busy", `${running}`);
    waiting.hidden = !running || turn.content !== "";
    if (turn.content !== shown) {
      shown = turn.content;
      markdown.element.lang = languageOf(shown);
      markdown.update(shown);
    }
    note.textContent = running ? "" : summary(turn);
  };
  update();
  return { element, update };
}

/** How an answer ended, with its length and speed. */
export function summary({ finish, usage, timings }: Turn): string {
  const parts: string[] = [];
  if (finish !== "stop") parts.push(t().finish[finish ?? "closed"]);
  if (usage) parts.push(t().tokens(number(usage.completion_tokens), usage.completion_tokens));
  const rate = timings?.decode_tokens_per_second;
  if (rate) parts.push(t().tokensPerSecond(speed(rate)));
  return parts.join(" · ");
}

function copyButton(turn: Turn): HTMLButtonElement {
  const button = iconButton("copy", t().copy, () => void copyText(turn.content, button));
  return button;
}

/** Copies, and shows for a moment that it did. */
export async function copyText(text: string, button: HTMLElement): Promise<void> {
  await navigator.clipboard.writeText(text);
  const drawing = button.querySelector("svg")!;
  const done = icon("check");
  drawing.replaceWith(done);
  button.classList.add("done");
  setTimeout(() => {
    done.replaceWith(drawing);
    button.classList.remove("done");
  }, 1500);
}
