import type { TransferProgress } from "../../api.ts";
import { t } from "../strings/strings.ts";
import { h } from "../ui/dom.ts";
import { bytes, duration, percent } from "../ui/format.ts";

/** A progress in words: "5.2 MB of 11.8 MB · 3.1 MB/s · 2 s left". */
function progressText({ done, total, rate, left }: TransferProgress): string {
  const parts: string[] = [];
  if (total > 0) parts.push(t().ofBytes(bytes(done), bytes(total)));
  else if (done > 0) parts.push(bytes(done));
  if (rate) parts.push(`${bytes(rate)}/s`);
  if (left !== null) parts.push(t().left(duration(left)));
  return parts.join(" · ");
}

interface ProgressView {
  readonly element: HTMLElement;
  show(label: string, progress?: TransferProgress, note?: string): void;
}

/** A bar with its words; the bar runs to and fro while nobody knows how long. */
export function progressView(): ProgressView {
  const bar = h("progress", { max: 1, "aria-label": t().progress });
  const label = h("span", { class: "progress-label" });
  const words = h("span", { class: "soft" });
  const element = h("div", { class: "progress" }, h("div", { class: "progress-words" }, label, words), bar);
  return {
    element,
    show(text, progress, note) {
      label.textContent = text;
      words.textContent = [progress && progress.done + progress.total > 0 && progressText(progress), note]
        .filter(Boolean)
        .join(" · ");
      if (progress && progress.total > 0) {
        bar.value = progress.done / progress.total;
        bar.setAttribute("aria-valuetext", percent(progress.done / progress.total));
      } else bar.removeAttribute("value");
    },
  };
}
