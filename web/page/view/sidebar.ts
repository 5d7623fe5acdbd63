import type { Archive, TalkEntry } from "../state/archive.ts";
import type { Chat } from "../state/chat.ts";
import { exportTalks, importTalks } from "../state/talk.ts";
import { t } from "../strings/strings.ts";
import { h, icon, iconButton, saveFile } from "../ui/dom.ts";
import { day } from "../ui/format.ts";
import { notify } from "../ui/notices.ts";
import { isComposing } from "./keys.ts";

/** The conversations: a column where there is room, a drawer where there is none. */
export function makeSidebar(chat: Chat, archive: Archive, close: () => void, gone: AbortSignal): HTMLElement {
  const list = h("ul", { class: "talks", id: "talks" });
  const file = h("input", {
    type: "file",
    accept: ".json,application/json",
    hidden: true,
    onchange: () => void importFile(),
  });
  const importFile = async () => {
    const [chosen] = file.files ?? [];
    file.value = "";
    const talks = chosen && importTalks(await chosen.text());
    if (!talks) return notify(t().importRefused);
    await archive.add(talks);
    notify(t().imported(talks.length));
    if (talks[0]) await chat.show(talks[0].id);
  };
  const exportAll = async () => {
    saveFile(
      "ziya-conversations.json",
      new Blob([exportTalks(await archive.all())], { type: "application/json" }),
    );
  };
  const element = h(
    "nav",
    { class: "sidebar", id: "sidebar", "aria-label": t().conversations },
    h(
      "div",
      { class: "sidebar-head" },
      h(
        "button",
        { type: "button", class: "new", id: "new", onclick: begin },
        icon("plus"),
        h("span", {}, t().newConversation),
      ),
      iconButton("close", t().closeList, close, { class: "icon-button drawer-close" }),
    ),
    list,
    h(
      "div",
      { class: "sidebar-foot" },
      h(
        "button",
        { type: "button", class: "quiet", onclick: () => file.click() },
        icon("upload"),
        t().importTalks,
      ),
      h(
        "button",
        { type: "button", class: "quiet", id: "export", onclick: () => void exportAll() },
        icon("download"),
        t().exportTalks,
      ),
      file,
      !archive.lasting && h("p", { class: "soft" }, t().notLasting),
    ),
  );

  function begin(): void {
    chat.begin();
    close();
    document.querySelector<HTMLElement>("#question")?.focus();
  }

  const draw = () => {
    // A title that is being written stays: it is drawn when it is done.
    if (list.querySelector("input")) return;
    const giveBack = takeFocus();
    list.replaceChildren(
      ...archive.list.value.map((entry) => entryView(entry)),
      ...(archive.list.value.length === 0 ? [h("li", { class: "soft empty" }, t().noConversations)] : []),
    );
    giveBack();
  };

  /** Gives what has the keyboard's focus, a conversation or one of its buttons, to what takes its place. */
  function takeFocus(): () => void {
    const { activeElement } = document;
    const item = activeElement?.closest("li");
    const id = item?.querySelector<HTMLElement>("[data-talk]")?.dataset.talk;
    if (!item || id === undefined) return () => {};
    const buttons: readonly (Element | null)[] = [...item.querySelectorAll("button")];
    const place = buttons.indexOf(activeElement);
    return () => {
      const talk = list.querySelector<HTMLElement>(`[data-talk="${id}"]`);
      // Its buttons show as long as something in it has the focus.
      talk?.focus();
      talk?.closest("li")?.querySelectorAll("button")[place]?.focus();
    };
  }

  function entryView(entry: TalkEntry): HTMLLIElement {
    const title = entry.title || t().untitled;
    const current = entry.id === chat.talk.value.id;
    const { value } = chat.activity;
    const running = value.kind !== "idle" && value.talk.id === entry.id;
    const open = h(
      "button",
      {
        type: "button",
        class: "talk",
        "data-talk": entry.id,
        title: `${title}\n${day(entry.changed)}`,
        "aria-current": current ? "page" : undefined,
        onclick: () => {
          void chat.show(entry.id);
          close();
        },
      },
      running && h("span", { class: "pulse", role: "img", "aria-label": t().answering }),
      h("span", {}, title),
    );
    const item = h(
      "li",
      { class: current ? "current" : "" },
      open,
      h(
        "span",
        { class: "talk-actions" },
        iconButton("edit", t().renameTalk(title), () => rename(item, entry)),
        iconButton("download", t().exportTalk(title), () => void exportOne(entry)),
        iconButton("trash", t().deleteTalk(title), () => void remove(entry)),
      ),
    );
    return item;
  }

  function rename(item: HTMLLIElement, entry: TalkEntry): void {
    const box = h("input", { class: "talk-title", value: entry.title, "aria-label": t().titleLabel });
    let done = false;
    const finish = (keep: boolean) => {
      if (done) return;
      done = true;
      box.remove();
      if (keep) void archive.rename(entry.id, box.value);
      draw();
      list.querySelector<HTMLElement>(`[data-talk="${entry.id}"]`)?.focus();
    };
    box.addEventListener("keydown", (event) => {
      if (isComposing(event)) return;
      if (event.key === "Enter") {
        // It would press the button that has the focus then, and show another conversation than the one that is shown.
        event.preventDefault();
        finish(true);
      }
      if (event.key !== "Escape") return;
      // Elsewhere it stops the answer that runs.
      event.stopPropagation();
      finish(false);
    });
    box.addEventListener("blur", () => finish(true));
    item.replaceChildren(box);
    box.focus();
    box.select();
  }

  async function exportOne(entry: TalkEntry): Promise<void> {
    const talk = await archive.get(entry.id);
    if (!talk) return;
    const name = (entry.title || "ziya").replace(/[\p{Cc}/\\:*?"<>|]/gu, " ").trim();
    saveFile(`${name}.json`, new Blob([exportTalks([talk])], { type: "application/json" }));
  }

  async function remove(entry: TalkEntry): Promise<void> {
    const back = await chat.delete(entry.id);
    notify(t().deleted(entry.title || t().untitled), { label: t().undo, run: () => void back() });
  }

  archive.list.listen(gone, draw);
  chat.talk.listen(gone, draw);
  chat.activity.listen(gone, draw);
  return element;
}
