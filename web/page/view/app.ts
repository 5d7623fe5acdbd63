import type { Archive } from "../state/archive.ts";
import type { Chat } from "../state/chat.ts";
import { type Folder, foldersOfDrop } from "../state/dropped.ts";
import { prefer, preferences } from "../state/preferences.ts";
import type { Session } from "../state/session.ts";
import { t } from "../strings/strings.ts";
import { h, icon, iconButton } from "../ui/dom.ts";
import { openBenchmark } from "./benchmark.ts";
import { makeComposer } from "./composer.ts";
import { makeFailure, makeLoading, makeStatus } from "./loading.ts";
import { openModelsDialog } from "./models.ts";
import { makePanel } from "./panel.ts";
import { openSettings } from "./settings.ts";
import { makeSidebar } from "./sidebar.ts";
import { makeThread } from "./thread.ts";
import { makeWelcome } from "./welcome.ts";

/** The whole page in the language of the moment; it is made anew when that changes, and nothing that is under way ends. */
export function makeApp(chat: Chat, session: Session, archive: Archive, gone: AbortSignal): HTMLElement {
  const app = h("div", { class: "app" });
  const models = () => openModelsDialog(session);
  const settings = () => openSettings(session);
  const benchmark = () => openBenchmark(session);
  takeDrops((folders) => openModelsDialog(session, folders), gone);
  const drawer = (open: boolean) => {
    app.toggleAttribute("data-drawer", open);
    menu.setAttribute("aria-expanded", `${open}`);
    if (open) sidebar.querySelector<HTMLElement>("#new")?.focus();
  };
  const menu = iconButton("menu", t().conversations, () => drawer(true), {
    "aria-controls": "sidebar",
    id: "menu",
  });
  const sidebar = makeSidebar(chat, archive, () => drawer(false), gone);
  const shade = h("div", { class: "shade", onclick: () => drawer(false) });
  sidebar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !app.hasAttribute("data-drawer")) return;
    event.stopPropagation();
    drawer(false);
    menu.focus();
  });

  const status = makeStatus(chat, session, gone);
  const composer = makeComposer(chat, session, status, gone);
  const welcome = makeWelcome(chat, composer.ask, gone);
  const loading = makeLoading(session, models, gone);
  const failure = makeFailure(chat, session, settings, models, gone);
  const thread = makeThread(chat, session, welcome, failure, gone);
  const panel = makePanel(chat, session, benchmark, () => prefer({ panel: false }), gone);

  const modelName = h("span", { class: "model-name" });
  const modelButton = h(
    "button",
    { type: "button", class: "model-button", id: "model", onclick: models },
    h("span", { class: "dot" }),
    modelName,
    icon("chevron"),
  );
  session.state.listen(gone, ({ model }) => {
    modelName.textContent = model;
    modelButton.setAttribute("aria-label", t().chooseModel(model));
  });
  const panelButton = iconButton("gauge", t().engine, () => prefer({ panel: !preferences.value.panel }), {
    id: "panel-button",
    "aria-controls": "panel",
  });
  preferences.listen(gone, ({ panel: open }) => {
    app.toggleAttribute("data-panel", open);
    panel.hidden = !open;
    panelButton.setAttribute("aria-expanded", `${open}`);
  });
  app.append(
    h(
      "a",
      {
        class: "skip",
        href: "#question",
        onclick: (event: Event) => {
          event.preventDefault();
          composer.focus();
        },
      },
      t().skip,
    ),
    sidebar,
    shade,
    h(
      "main",
      {},
      h(
        "header",
        { class: "top" },
        menu,
        h("h1", { class: "brand" }, h("span", { lang: "zh-Hans" }, "子牙"), h("span", {}, "Ziya")),
        modelButton,
        h("span", { class: "spring" }),
        panelButton,
        iconButton("settings", t().settings, settings, { id: "settings" }),
      ),
      thread,
      h("div", { class: "dock" }, h("div", { class: "column" }, loading, composer.element)),
    ),
    panel,
  );
  return app;
}

/** Takes what is dropped anywhere on the page, which the browser would open in the page's place. */
function takeDrops(take: (folders: Folder[]) => void, gone: AbortSignal): void {
  document.addEventListener("dragover", (event) => event.preventDefault(), { signal: gone });
  document.addEventListener(
    "drop",
    (event) => {
      event.preventDefault();
      const { dataTransfer } = event;
      if (dataTransfer?.types.includes("Files")) void foldersOfDrop(dataTransfer).then(take);
    },
    { signal: gone },
  );
}
