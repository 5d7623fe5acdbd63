import { t } from "../strings/strings.ts";
import { type Child, h, iconButton } from "./dom.ts";

export interface Dialog {
  readonly element: HTMLDialogElement;
  /** Aborted when it is closed: what it listens to ends. */
  readonly gone: AbortSignal;
  readonly body: HTMLElement;
  close(): void;
}

/** Opens a dialog that keeps the keyboard, closes on Escape, and gives the focus back to where it was. */
export function openDialog(title: string, kind: string, ...children: readonly Child[]): Dialog {
  const gone = new AbortController();
  const close = () => element.close();
  const body = h("div", { class: "dialog-body" }, ...children);
  const heading = h("h2", { id: `${kind}-title` }, title);
  const element = h(
    "dialog",
    {
      class: `dialog ${kind}`,
      "aria-labelledby": `${kind}-title`,
      onclose: () => {
        gone.abort();
        element.remove();
      },
      // A click beside it is one on the dialog itself: its content covers it whole.
      onclick: (event: MouseEvent) => event.target === element && close(),
    },
    h(
      "div",
      { class: "dialog-frame" },
      h("header", { class: "dialog-head" }, heading, iconButton("close", t().close, close)),
      body,
    ),
  );
  document.body.append(element);
  element.showModal();
  return { element, gone: gone.signal, body, close };
}
