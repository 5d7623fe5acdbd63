import {
  bytesOf,
  type Folder,
  foldersOfDrop,
  foldersOfFiles,
  isCheckpoint,
  looksLikeDelta,
} from "../state/dropped.ts";
import type { Session } from "../state/session.ts";
import { transfer } from "../state/transfers.ts";
import { t } from "../strings/strings.ts";
import { h, icon } from "../ui/dom.ts";
import { bytes } from "../ui/format.ts";
import { needsCard } from "./needs.ts";

/** A model from the person's disk: used where it lies, kept in the browser, or merged and packed from the release itself. */
export function addFromDisk(
  session: Session,
  dropped: readonly Folder[],
  used: () => void,
  started: () => void,
  gone: AbortSignal,
): HTMLElement {
  const found = h("div", { "aria-live": "polite" });
  const chosen: Folder[] = [];
  const take = (folders: readonly Folder[]) => {
    chosen.push(...folders.filter(isCheckpoint));
    // A third one begins anew: a model is one folder, or a base and its delta.
    chosen.splice(0, Math.max(0, chosen.length - 2));
    show();
  };
  const input = (attributes: Record<string, boolean>) => {
    const element = h("input", { type: "file", hidden: true, multiple: true, ...attributes });
    element.addEventListener("change", () => {
      take(foldersOfFiles(element.files ?? []));
      element.value = "";
    });
    return element;
  };
  const folderInput = input({ webkitdirectory: true });
  const filesInput = input({});
  const zone = h(
    "div",
    {
      class: "drop",
      ondragover: (event: DragEvent) => {
        event.preventDefault();
        zone.classList.add("over");
      },
      ondragleave: () => zone.classList.remove("over"),
      ondrop: (event: DragEvent) => {
        event.preventDefault();
        // The page around it takes drops as well.
        event.stopPropagation();
        zone.classList.remove("over");
        if (event.dataTransfer) void foldersOfDrop(event.dataTransfer).then(take);
      },
    },
    icon("folder"),
    h("p", {}, t().dropHere),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", onclick: () => folderInput.click() }, t().chooseFolder),
      h("button", { type: "button", onclick: () => filesInput.click() }, t().chooseFiles),
    ),
    folderInput,
    filesInput,
  );

  function show(): void {
    if (chosen.length === 0) {
      found.replaceChildren(h("p", { class: "problem" }, t().noCheckpoint));
      return;
    }
    found.replaceChildren(
      h(
        "ul",
        { class: "folders" },
        ...chosen.map((folder) => h("li", {}, `${folder.name || t().files}: ${bytes(bytesOf(folder))}`)),
      ),
      chosen.length === 1 ? oneFolder(chosen[0]!) : conversionForm([chosen[0]!, chosen[1]!]),
    );
  }

  /** One folder is used as it is, kept, or packed; or it waits for its other half. */
  function oneFolder(folder: Folder): HTMLElement {
    const name = folder.name || "model";
    const source = { files: folder.files };
    return h(
      "div",
      {},
      needsCard(
        session.models,
        name,
        source,
        () => [
          {
            label: t().useInPlace,
            run: () => {
              session.open({ name, source });
              used();
            },
          },
          {
            label: t().keep,
            run: () => {
              transfer(name, (options) => session.models.add(name, folder.files, options));
              started();
            },
          },
        ],
        gone,
      ),
      h("details", {}, h("summary", {}, t().packIt), conversionForm([folder])),
      h("p", { class: "soft" }, t().otherHalf),
    );
  }

  function conversionForm(folders: readonly [Folder] | readonly [Folder, Folder]): HTMLElement {
    const [first, second] = folders;
    const weights = h(
      "select",
      {},
      h("option", { value: "q4" }, t().q4),
      h("option", { value: "q8" }, t().q8),
    );
    const calibration = h("input", { type: "file", accept: ".txt,text/plain" });
    const name = h("input", {
      required: true,
      value: `${(looksLikeDelta(first) ? first : (second ?? first)).name || "model"}-q4`,
    });
    const delta = h(
      "select",
      {},
      ...folders.map((folder, i) =>
        h("option", { value: i, selected: second !== undefined && looksLikeDelta(folder) }, folder.name),
      ),
    );
    const needs = h("div", {});
    const showNeeds = () => {
      const { files } = folders[Number(delta.value)]!;
      needs.replaceChildren(needsCard(session.models, name.value, { files }, () => [], gone, weights.value));
    };
    delta.addEventListener("change", showNeeds);
    weights.addEventListener("change", showNeeds);
    showNeeds();
    const field = (label: string, control: HTMLElement, hint?: string) =>
      h(
        "label",
        { class: "field" },
        h("span", {}, label),
        control,
        hint !== undefined && h("small", { class: "soft" }, hint),
      );
    return h(
      "form",
      {
        class: "add",
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          const difference = folders[Number(delta.value)]!;
          const base = folders.find((folder) => folder !== difference);
          const source = base ? { base: base.files, delta: difference.files } : { model: first.files };
          const [text] = calibration.files ?? [];
          transfer(name.value, (options) =>
            session.models.convert(name.value, source, {
              ...options,
              weights: weights.value,
              ...(text && { calibration: text }),
            }),
          );
          started();
        },
      },
      h("p", { class: "soft" }, second ? t().mergeHint : t().packHint),
      second && field(t().whichIsDelta, delta),
      field(t().weightFormat, weights),
      field(t().calibration, calibration, t().calibrationHint),
      field(t().modelName, name),
      needs,
      h("button", { type: "submit", class: "primary" }, second ? t().merge : t().pack),
    );
  }

  if (dropped.length > 0) take(dropped);
  return h("div", { class: "add" }, zone, found);
}
