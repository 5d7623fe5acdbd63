import type { BenchmarkReport } from "../../api.ts";
import type { Session } from "../state/session.ts";
import { t } from "../strings/strings.ts";
import { openDialog } from "../ui/dialog.ts";
import { h, icon, saveFile } from "../ui/dom.ts";
import { bytes, number, percent, speed } from "../ui/format.ts";
import { benchmarkPicture } from "./benchmark-picture.ts";
import { problemCard } from "./problem.ts";
import { progressView } from "./transfer.ts";

/** The last report, so that closing the dialog loses nothing. */
let latest: BenchmarkReport | undefined;

/** Times the model's kernels here, and shows each with its share of the read bandwidth. */
export function openBenchmark(session: Session): void {
  const place = h("div", { "aria-live": "polite" });
  const run = h(
    "button",
    { type: "button", class: "primary", onclick: () => void start() },
    t().runBenchmark,
  );
  const dialog = openDialog(
    t().benchmark,
    "benchmark-dialog",
    h("p", { class: "soft" }, t().benchmarkText),
    h("div", { class: "row" }, run),
    place,
  );
  if (latest) place.replaceChildren(reportView(latest));

  async function start(): Promise<void> {
    const { value: state } = session.state;
    if (state.kind !== "ready") return;
    const progress = progressView();
    place.replaceChildren(progress.element);
    run.disabled = true;
    try {
      progress.show(t().timing);
      latest = await state.engine.benchmark({
        signal: dialog.gone,
        onProgress: (done) => {
          progress.element.querySelector("progress")!.value = done;
        },
      });
      place.replaceChildren(reportView(latest));
    } catch (error) {
      if (!dialog.gone.aborted)
        place.replaceChildren(problemCard(error, [{ label: t().tryAgain, run: () => void start() }]));
    } finally {
      run.disabled = false;
    }
  }
}

function reportView(report: BenchmarkReport): HTMLElement {
  const name = `ziya-benchmark-${report.date.slice(0, 10)}`;
  const json = new Blob([JSON.stringify(report, null, 2)], { type: "application/json" });
  const figure = (label: string, value: string) => h("div", {}, h("dt", {}, label), h("dd", {}, value));
  const picture = async () => {
    const blob = await benchmarkPicture(report);
    const file = new File([blob], `${name}.png`, { type: "image/png" });
    // A phone hands it to whom the person chooses; elsewhere it is saved.
    if (matchMedia("(pointer: coarse)").matches && navigator.canShare?.({ files: [file] })) {
      await navigator.share({ files: [file] }).catch(() => {});
    } else saveFile(file.name, file);
  };
  return h(
    "div",
    { class: "report" },
    h(
      "dl",
      { class: "figures" },
      figure(t().decodeRate, `${speed(report.decode_tokens_per_second)} ${t().perSecond}`),
      figure(t().prefillRate, `${speed(report.prefill_tokens_per_second)} ${t().perSecond}`),
      figure(t().bandwidth, `${bytes(report.read_bandwidth)}/s`),
      figure(t().decodeShare, percent(report.decode_share)),
    ),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        { type: "button", onclick: () => saveFile(`${name}.json`, json) },
        icon("download"),
        "JSON",
      ),
      h("button", { type: "button", onclick: () => void picture() }, icon("share"), t().picture),
    ),
    h(
      "div",
      { class: "table", tabindex: 0, role: "region", "aria-label": t().kernels },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ...[t().kernel, t().dispatches, t().milliseconds, t().readBytes, t().share].map((label) =>
              h("th", { scope: "col" }, label),
            ),
          ),
        ),
        ...(["decode", "prefill"] as const).map((pass) =>
          passRows(
            pass,
            report.kernels.filter((kernel) => kernel.pass === pass),
          ),
        ),
      ),
    ),
  );
}

/** The kernels of a token, or of a prompt's rows, under a line that says of which. */
function passRows(pass: "decode" | "prefill", kernels: BenchmarkReport["kernels"]): HTMLElement | undefined {
  if (kernels.length === 0) return undefined;
  return h(
    "tbody",
    {},
    h("tr", {}, h("th", { scope: "rowgroup", colspan: 5 }, t().pass[pass](kernels[0]!.rows))),
    ...kernels.map(({ name, dispatches, milliseconds, bytes: read, share }) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("code", {}, name)),
        h("td", {}, number(dispatches)),
        h("td", {}, number(milliseconds, 3)),
        h("td", {}, read === null ? "–" : bytes(read)),
        h(
          "td",
          {},
          share !== null && h("meter", { value: Math.min(1, share), "aria-label": t().share }),
          share === null ? "–" : percent(share),
        ),
      ),
    ),
  );
}
