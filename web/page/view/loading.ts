import type { Chat } from "../state/chat.ts";
import type { Session } from "../state/session.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";
import { announce } from "../ui/notices.ts";
import { summary } from "./message.ts";
import { problemCard, type WayOn } from "./problem.ts";
import { progressView } from "./transfer.ts";

/** How far the model is, with a way to pause, or why it cannot be had, with ways on. Nothing while it is there. */
export function makeLoading(session: Session, openModels: () => void, gone: AbortSignal): HTMLElement {
  const element = h("div", { class: "loading", id: "loading" });
  const progress = progressView();
  const pause = h("button", { type: "button", class: "small", onclick: () => session.pause() }, t().pause);
  const resume = h(
    "button",
    { type: "button", class: "small primary", onclick: () => session.again() },
    t().resume,
  );
  const card = h("div", { class: "loading-card" }, progress.element, pause, resume);
  session.state.listen(gone, (state) => {
    document.documentElement.dataset.model = state.kind;
    if (state.kind === "ready") {
      element.replaceChildren();
      announce(t().modelReady(state.model));
    } else if (state.kind === "failed") {
      element.replaceChildren(
        problemCard(
          state.error,
          [
            { label: t().tryAgain, run: () => session.again() },
            { label: t().otherModel, run: openModels },
          ],
          {
            doing: state.fetching ? "fetching" : undefined,
            shelf: { models: session.models, kept: [state.model], open: openModels },
          },
        ),
      );
    } else {
      const paused = state.kind === "paused";
      pause.hidden = paused;
      resume.hidden = !paused;
      const { progress: come } = state;
      progress.show(paused ? t().paused(state.model) : t().phases[come?.phase ?? "load"](state.model), come);
      if (card.parentElement !== element) element.replaceChildren(card);
    }
  });
  return element;
}

/** What the page is at, in a line beside the composer; the end of an answer is said aloud, once. */
export function makeStatus(chat: Chat, session: Session, gone: AbortSignal): HTMLElement {
  const element = h("p", { class: "status soft", id: "status" });
  let before = "idle";
  const show = () => {
    const { value: activity } = chat.activity;
    const { value: state } = session.state;
    document.documentElement.dataset.state = activity.kind;
    if (activity.kind === "waiting") element.textContent = t().waiting;
    else if (activity.kind === "reading") element.textContent = t().reading(activity.done, activity.total);
    else if (activity.kind === "answering") element.textContent = t().answering;
    else element.textContent = state.kind === "ready" ? t().stays : "";
  };
  chat.activity.listen(gone, ({ kind }) => {
    show();
    const last = chat.talk.value.turns.at(-1);
    if (kind === "idle" && before !== "idle" && last?.role === "assistant") {
      announce(
        `${last.content}\n${summary(last)}`,
        document.querySelector<HTMLElement>(".answer:last-child .markdown")?.lang,
      );
    } else if (kind === "waiting") announce(t().answering);
    before = kind;
  });
  session.state.listen(gone, show);
  return element;
}

/** Why the last answer could not be given, below the conversation that it belongs to. */
export function makeFailure(
  chat: Chat,
  session: Session,
  openSettings: () => void,
  openModels: () => void,
  gone: AbortSignal,
): HTMLElement {
  const element = h("div", { class: "failure", id: "failure" });
  const show = () => {
    const { value } = chat.failure;
    element.replaceChildren();
    if (!value || value.talk.id !== chat.talk.value.id) return;
    const { code } = Object(value.error) as { code?: unknown };
    const retry = () => {
      // The engine that lost its device, or that failed in another way, is opened again first.
      if (code === "device-lost" || code === "device") session.again();
      value.retry();
    };
    const settings = { label: t().settings, run: openSettings };
    const begin = { label: t().newConversation, run: () => chat.begin() };
    const models = { label: t().otherModel, run: openModels };
    const ways: Readonly<Record<string, WayOn>> = {
      option: settings,
      "context-overflow": settings,
      config: models,
    };
    element.append(
      problemCard(value.error, [{ label: t().tryAgain, run: retry }, ways[String(code)] ?? begin], {
        doing: "answering",
        shelf: { models: session.models, kept: [session.state.value.model], open: openModels },
      }),
    );
  };
  chat.failure.listen(gone, show);
  chat.talk.listen(gone, show);
  return element;
}
