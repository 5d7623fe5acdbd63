import { t } from "../strings/strings.ts";
import { h, iconButton } from "./dom.ts";

/** How long a notice stays that nobody has to answer; the pointer or the keyboard on it holds it. */
const STAY_MS = 8000;

const notices = h("div", { class: "notices" });
/** What a screen reader says: one sentence at a time, and never a token at a time. */
const announcer = h("p", { class: "hidden", role: "status", id: "announcer" });

export function mountNotices(): void {
  document.body.append(notices, announcer);
}

export function announce(text: string, lang?: string): void {
  if (lang) announcer.lang = lang;
  else announcer.removeAttribute("lang");
  announcer.textContent = text;
}

interface NoticeAction {
  readonly label: string;
  readonly run: () => void;
}

/** Shows a sentence with at most one thing to do about it; `stays` until it is answered or closed. */
export function notify(text: string, action?: NoticeAction, stays = false): void {
  const close = () => {
    clearTimeout(timer);
    element.remove();
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    clearTimeout(timer);
    if (!stays) timer = setTimeout(close, STAY_MS);
  };
  const element = h(
    "div",
    {
      class: "notice",
      onpointerenter: () => clearTimeout(timer),
      onpointerleave: wait,
      onfocusin: () => clearTimeout(timer),
      onfocusout: wait,
    },
    h("p", {}, text),
    action &&
      h(
        "button",
        {
          type: "button",
          class: "link",
          onclick: () => {
            close();
            action.run();
          },
        },
        action.label,
      ),
    iconButton("close", t().close, close),
  );
  // The latest is enough: a stack of them would cover the page.
  notices.replaceChildren(element);
  announce(text);
  wait();
}
