import type { StoredModel } from "../../api.ts";
import type { Folder } from "../state/dropped.ts";
import { EMBEDDED, type Session, wantedOf } from "../state/session.ts";
import { forget, type Transfer, transfer, transfers } from "../state/transfers.ts";
import { t } from "../strings/strings.ts";
import { type Dialog, openDialog } from "../ui/dialog.ts";
import { h, iconButton } from "../ui/dom.ts";
import { bytes, percent } from "../ui/format.ts";
import { notify } from "../ui/notices.ts";
import { addFromDisk } from "./add-disk.ts";
import { addByAddress } from "./add-url.ts";
import { problemCard } from "./problem.ts";
import type { Shelf } from "./room.ts";
import { progressView } from "./transfer.ts";

/**
 * The models that there are, what is under way, and the ways to another one.
 * @param dropped Folders that were dropped on the page.
 */
export function openModelsDialog(session: Session, dropped: readonly Folder[] = []): void {
  const dialog = openDialog(t().models, "models");
  const running = h("div", { class: "transfers" });
  const list = h("ul", { class: "model-list", id: "models" });
  const space = h("p", { class: "soft", id: "space" });
  const refresh = () => void show(session, dialog, list, space);
  const used = () => dialog.close();
  const started = () => {
    place.replaceChildren(addFromDisk(session, [], used, started, dialog.gone));
    dialog.body.scrollTop = 0;
  };
  const tabs = h("div", { class: "tabs" });
  const place = h("div", {});
  const ways = [
    [t().byAddress, () => addByAddress(session, used, dialog.gone)],
    [t().fromDisk, () => addFromDisk(session, dropped, used, started, dialog.gone)],
  ] as const;
  const first = dropped.length > 0 ? 1 : 0;
  for (const [i, [label, make]] of ways.entries()) {
    const choose = () => place.replaceChildren(make());
    tabs.append(
      h(
        "label",
        {},
        h("input", { type: "radio", name: "way", checked: i === first, onchange: choose }),
        h("span", {}, label),
      ),
    );
    if (i === first) choose();
  }
  dialog.body.append(
    h("section", {}, list, running, space),
    h("section", { "aria-labelledby": "add-title" }, h("h3", { id: "add-title" }, t().addModel), tabs, place),
  );
  transfers.listen(dialog.gone, (all) => {
    running.replaceChildren(
      ...[...all.values()].map((one) => {
        const kept = [one.name, session.state.value.model];
        const shelf = { models: session.models, kept, open: () => list.querySelector("button")?.focus() };
        return transferView(one, shelf, dialog.gone);
      }),
    );
    refresh();
  });
  session.state.listen(dialog.gone, ({ kind }) => kind !== "loading" && refresh());
}

async function show(session: Session, dialog: Dialog, list: HTMLElement, space: HTMLElement): Promise<void> {
  try {
    const [stored, room] = await Promise.all([session.models.list(), session.models.space()]);
    if (dialog.gone.aborted) return;
    const embedded = stored.find(({ name }) => name === EMBEDDED);
    list.replaceChildren(
      embeddedView(session, dialog, embedded),
      ...stored.filter((model) => model !== embedded).map((model) => modelView(session, dialog, model)),
    );
    space.textContent = t().spaceText(bytes(room.used), bytes(room.free), room.persisted);
  } catch (error) {
    // Without the browser's storage the embedded model still comes from the page's own server.
    list.replaceChildren(embeddedView(session, dialog, undefined));
    space.replaceChildren(problemCard(error, []));
  }
}

function embeddedView(session: Session, dialog: Dialog, stored: StoredModel | undefined): HTMLElement {
  const wanted = wantedOf({ kind: "embedded" });
  return row(
    session,
    dialog,
    EMBEDDED,
    [t().embedded, stored && sizeOf(stored)],
    () => session.open(wanted),
    stored,
  );
}

function modelView(session: Session, dialog: Dialog, model: StoredModel): HTMLElement {
  const { name, url, whole } = model;
  const wanted = wantedOf({ kind: "stored", name, ...(!whole && url !== undefined && { url }) });
  // What the end of a visit has cut of a copy or a conversion goes on with the same files, which only the person has.
  const cut = !whole && url === undefined;
  const facts = [model.weights, sizeOf(model), cut ? t().goOnFromDisk : undefined];
  return row(session, dialog, name, facts, !cut && (() => session.open(wanted)), model);
}

function sizeOf({ whole, done, total }: StoredModel): string {
  return whole ? bytes(total) : t().partly(total > 0 ? percent(done / total) : bytes(done));
}

function row(
  session: Session,
  dialog: Dialog,
  name: string,
  facts: readonly (string | undefined)[],
  use: (() => void) | false,
  stored: StoredModel | undefined,
): HTMLElement {
  const { value: state } = session.state;
  const current = state.model === name && state.kind !== "failed";
  return h(
    "li",
    { class: current ? "current" : "" },
    h(
      "div",
      { class: "model-words" },
      h("strong", {}, name),
      h("span", { class: "soft" }, facts.filter(Boolean).join(" · ")),
      stored?.whole && withheldView(stored.withheld ?? []),
    ),
    h(
      "div",
      { class: "row" },
      current && h("span", { class: "tag" }, t().inUse),
      !current &&
        use &&
        h(
          "button",
          {
            type: "button",
            class: "small",
            "aria-label": stored && !stored.whole ? t().resumeModel(name) : t().useModel(name),
            onclick: () => {
              use();
              dialog.close();
            },
          },
          stored && !stored.whole ? t().resume : t().use,
        ),
      stored?.whole && iconButton("shield", t().verifyModel(name), () => void verify(session, name)),
      stored && !current && iconButton("trash", t().deleteModel(name), () => void remove(session, name)),
    ),
  );
}

/** Files of which nobody but their server knows whether there are any, and which may tell how the model chats. */
function withheldView(names: readonly string[]): HTMLElement | undefined {
  // Of a model that is whole the weights are there, in one of the forms that were looked for.
  const texts = names.filter((name) => !/^(model|pytorch_model)\./.test(name));
  if (texts.length === 0) return undefined;
  return h(
    "details",
    { class: "soft" },
    h("summary", {}, t().withheld(texts.length)),
    h("p", {}, t().withheldText(texts.join(" · "))),
  );
}

function verify(session: Session, name: string): void {
  transfer(name, async (options) => {
    const model = await session.models.verify(name, options);
    notify(model.whole ? t().verified(name) : t().damaged(name));
  });
}

async function remove(session: Session, name: string): Promise<void> {
  forget(name);
  try {
    await session.models.delete(name);
    notify(t().deleted(name));
  } catch (error) {
    notify(error instanceof Error ? error.message : String(error));
  }
  // The list is read again.
  transfers.value = new Map(transfers.value);
}

function transferView(one: Transfer, shelf: Shelf, gone: AbortSignal): HTMLElement {
  const view = progressView();
  const pause = iconButton("pause", t().pause, () => one.pause());
  const resume = iconButton("play", t().resume, () => one.resume());
  const problem = h("div", {});
  const element = h(
    "div",
    { class: "transfer" },
    h(
      "div",
      { class: "row" },
      view.element,
      pause,
      resume,
      iconButton("close", t().giveUp, () => forget(one.name)),
    ),
    problem,
  );
  one.state.listen(gone, (state) => {
    const { kind, progress } = state;
    const words = kind === "running" ? t().phases[progress?.phase ?? "load"](one.name) : t().paused(one.name);
    view.show(words, progress, progress?.file);
    pause.hidden = kind !== "running";
    resume.hidden = kind === "running";
    problem.replaceChildren(
      ...(state.kind === "failed"
        ? [
            problemCard(state.error, [{ label: t().tryAgain, run: () => one.resume() }], {
              doing: progress?.phase === "download" ? "fetching" : undefined,
              shelf,
            }),
          ]
        : []),
    );
  });
  return element;
}
