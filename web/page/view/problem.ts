import type { Room } from "../../../src/index.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";
import { roomView, type Shelf } from "./room.ts";

/** What can be wrong, as a person would tell it apart: by what to do. */
type ProblemKind =
  | "insecure"
  | "no-webgpu"
  | "no-adapter"
  | "device-lost"
  | "offline"
  | "network"
  | "disk-full"
  | "storage"
  | "device"
  | "broken-file"
  | "no-chat"
  | "wrong-numbers"
  | "context-overflow"
  | "option"
  | "other";

/** What was under way when something went wrong: files on their way from a server, or an answer. */
type Doing = "fetching" | "answering";

/** Told by what the browser has and by the errors' codes, never by their words. */
export async function kindOf(error: unknown, doing?: Doing): Promise<ProblemKind> {
  const { code, name, room } = Object(error) as { code?: unknown; name?: unknown; room?: Room };
  if (room || name === "QuotaExceededError") return "disk-full";
  if (code === "option" || code === "context-overflow") return code;
  if (!isSecureContext) return "insecure";
  if (!navigator.gpu) return "no-webgpu";
  if (code === "device-lost") return "device-lost";
  if (code === "device") return (await navigator.gpu.requestAdapter()) ? code : "no-adapter";
  if (code === "logits" || code === "shader") return "wrong-numbers";
  if (code === "storage") return code;
  // A model that loads and has no template of a chat.
  if (code === "config" && doing === "answering") return "no-chat";
  if (doing === "fetching" || error instanceof TypeError) return navigator.onLine ? "network" : "offline";
  if (code === "checkpoint" || code === "config" || code === "tokenizer") return "broken-file";
  return "other";
}

export interface WayOn {
  readonly label: string;
  readonly run: () => void;
}

/** A button for each, the first before the others. */
export function wayButtons(waysOn: readonly WayOn[]): HTMLElement {
  return h(
    "div",
    { class: "row" },
    ...waysOn.map(({ label, run }, i) =>
      h("button", { type: "button", class: i === 0 ? "primary" : "", onclick: run }, label),
    ),
  );
}

/** What is known beside the error. */
interface Circumstances {
  readonly doing?: Doing | undefined;
  /** What could make room, where something was to be stored. */
  readonly shelf?: Shelf;
}

/** What went wrong in plain words, what to do about it, buttons that do it, and the error's own words for who wants them. */
export function problemCard(
  error: unknown,
  waysOn: readonly WayOn[],
  { doing, shelf }: Circumstances = {},
): HTMLElement {
  const title = h("h2", {});
  const text = h("p", {});
  const buttons = wayButtons(waysOn);
  const detail = error instanceof Error ? error.message : String(error);
  const element = h(
    "section",
    { class: "problem", role: "alert" },
    title,
    text,
    buttons,
    h("p", { class: "detail", lang: "en" }, detail),
  );
  void kindOf(error, doing).then((kind) => {
    element.dataset.problem = kind;
    const words = t().problems[kind];
    title.textContent = words.title;
    text.textContent = words.text;
    if (kind !== "disk-full" || !shelf) return;
    const { room } = Object(error) as { room?: Room };
    const choose = { label: t().chooseWhatGoes, run: () => shelf.open() };
    buttons.replaceWith(roomView(room, shelf), wayButtons([...waysOn.slice(0, 1), choose]));
  });
  return element;
}
