import type { BenchmarkReport } from "../../api.ts";
import { t } from "../strings/strings.ts";
import { adapterName, bytes, day, percent, speed } from "../ui/format.ts";

/** CSS pixels; drawn at twice as many. */
const WIDTH = 720;
const ROW = 26;
const TOP = 200;
const MARGIN = 32;
const MOST_ROWS = 40;
const FONT = 'system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';

/** The report as a PNG image: figures, adapter, and the kernels' shares of the read bandwidth as bars. */
export function benchmarkPicture(report: BenchmarkReport): Promise<Blob> {
  const rows = report.kernels
    .flatMap((kernel, i) =>
      kernel.pass === report.kernels[i - 1]?.pass ? [kernel] : [t().pass[kernel.pass](kernel.rows), kernel],
    )
    .slice(0, MOST_ROWS);
  const canvas = document.createElement("canvas");
  const height = TOP + rows.length * ROW + 56;
  canvas.width = 2 * WIDTH;
  canvas.height = 2 * height;
  const context = canvas.getContext("2d")!;
  context.scale(2, 2);
  context.fillStyle = "#fbfaf6";
  context.fillRect(0, 0, WIDTH, height);
  const write = (
    text: string,
    x: number,
    y: number,
    font: string,
    colour: string,
    align: CanvasTextAlign = "left",
  ) => {
    context.font = `${font} ${FONT}`;
    context.fillStyle = colour;
    context.textAlign = align;
    context.fillText(text, x, y);
  };
  const { adapter } = report;
  write("ziya-webgpu", MARGIN, 48, "600 22px", "#17201c");
  write(`${report.model} · ${adapterName(adapter)}`, MARGIN, 74, "14px", "#55605a");
  const figures = [
    [speed(report.decode_tokens_per_second), `${t().decodeRate}, ${t().perSecond}`],
    [speed(report.prefill_tokens_per_second), `${t().prefillRate}, ${t().perSecond}`],
    [`${bytes(report.read_bandwidth)}/s`, t().bandwidth],
    [percent(report.decode_share), t().decodeShare],
  ] as const;
  for (const [i, [value, label]] of figures.entries()) {
    const x = MARGIN + (i * (WIDTH - 2 * MARGIN)) / figures.length;
    write(value, x, 124, "600 24px", "#0b6350");
    write(label, x, 146, "12px", "#55605a");
  }
  for (const [i, row] of rows.entries()) {
    const y = TOP + i * ROW;
    if (typeof row === "string") {
      write(row, MARGIN, y, "600 13px", "#0b6350");
      continue;
    }
    const { name, milliseconds, share } = row;
    write(name, MARGIN, y, "13px", "#17201c");
    write(`${milliseconds.toFixed(3)} ms`, 400, y, "13px", "#55605a", "right");
    context.fillStyle = "#e3e1d8";
    context.fillRect(420, y - 10, 200, 10);
    context.fillStyle = "#0b6350";
    context.fillRect(420, y - 10, 200 * Math.min(1, share ?? 0), 10);
    write(share === null ? "–" : percent(share), WIDTH - MARGIN, y, "13px", "#17201c", "right");
  }
  write(
    `${day(Date.parse(report.date))} · ${report.version} · ${report.features.join(", ")}`,
    MARGIN,
    height - 24,
    "12px",
    "#55605a",
  );
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("The browser made no image."))),
      "image/png",
    );
  });
}
