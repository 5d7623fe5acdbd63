import type { Chat } from "../state/chat.ts";
import type { Session } from "../state/session.ts";
import { remember, remembered } from "../state/tab.ts";
import { t } from "../strings/strings.ts";
import { h, icon, iconButton } from "../ui/dom.ts";
import { contextMeter } from "./context.ts";
import { isComposing } from "./keys.ts";

const DRAFT = "ziya-draft";

interface Composer {
  readonly element: HTMLElement;
  /** Puts a text into the box, to be sent as it is or changed. */
  ask(text: string): void;
  focus(): void;
}

/** Where the person writes: it stays on the screen, and in it either Send or Stop. */
export function makeComposer(chat: Chat, session: Session, status: HTMLElement, gone: AbortSignal): Composer {
  const box = h("textarea", {
    id: "question",
    rows: 1,
    "aria-label": t().messageLabel,
    placeholder: t().placeholder,
    enterkeyhint: "send",
    autocomplete: "off",
  });
  const send = h(
    "button",
    { type: "submit", id: "send", class: "round", "aria-label": t().send, title: t().send },
    icon("send"),
  );
  const stop = iconButton("stop", t().stop, () => chat.stop(), { id: "stop", class: "round" });
  const words = h("p", { class: "context-words" });
  const meter = contextMeter(chat, session, box, words, gone);
  const form = h(
    "form",
    { class: "composer" },
    box,
    words,
    h("div", { class: "composer-row" }, status, meter, send, stop),
  );

  const submit = () => {
    if (chat.busy || box.value.trim() === "") return;
    const text = box.value;
    box.value = "";
    changed();
    chat.send(text);
  };
  const changed = () => {
    remember(DRAFT, box.value);
    grow();
  };
  /** As high as its text, where the browser does not do that by itself. */
  const grow = () => {
    if (CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  };
  // A finger has no Shift+Enter: there Enter breaks the line, and the button sends.
  const sends = !matchMedia("(pointer: coarse)").matches;
  box.addEventListener("keydown", (event) => {
    if (isComposing(event)) return;
    if (event.key === "Enter" && !event.shiftKey && sends) {
      event.preventDefault();
      submit();
    }
    if (event.key === "ArrowUp" && box.value === "") {
      event.preventDefault();
      // The last question, to be said in other words.
      [...document.querySelectorAll<HTMLElement>("[data-edit]")].at(-1)?.click();
    }
  });
  box.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  chat.activity.listen(gone, ({ kind }) => {
    const busy = kind !== "idle";
    const focused = document.activeElement;
    send.hidden = busy;
    stop.hidden = !busy;
    // A button that goes takes the keyboard's focus along: hand it on.
    if (busy && focused === send) stop.focus();
    if (!busy && focused === stop) box.focus();
  });
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Escape" && !isComposing(event) && !document.querySelector("dialog[open]"))
        chat.stop();
    },
    { signal: gone },
  );
  box.value = remembered(DRAFT) ?? "";
  requestAnimationFrame(grow);
  return {
    element: form,
    ask(text) {
      box.value = text;
      changed();
      submit();
    },
    focus: () => box.focus(),
  };
}
