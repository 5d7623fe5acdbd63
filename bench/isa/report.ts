import { type AdapterName, CARDS } from "./cards.ts";
import { compileOn, type Laboratory, type Request } from "./laboratory.ts";
import { type Bound, boundOn, hottest, lanesOf } from "./model.ts";
import { CLASSES, type Class, type Figures } from "./program.ts";

/** What is told of one pipeline. */
export interface Report extends Figures {
  readonly name: string;
  /** Instructions of one trip of the hottest loop, by class. */
  readonly loop: Readonly<Record<Class, number>>;
  readonly unit: "value" | "product" | undefined;
  /** Lane instructions for each unit, or of one trip where there is no unit. */
  readonly lanes: number;
  readonly bounds: readonly Bound[];
}

/** Compiles on an adapter and reckons what the cards that it stands for would make of it. */
export async function reportsOn(
  adapter: AdapterName,
  laboratory: Laboratory,
  request: Request,
): Promise<Report[]> {
  const cards = CARDS.filter((card) => card.adapter === adapter);
  const compiled = await compileOn(adapter, laboratory, request);
  return compiled.map(({ name, tokens, bytes, bindings, streams, program }) => {
    const found = hottest(program, bindings, streams, tokens);
    const values = streams.reduce((sum, stream) => sum + stream.values, 0);
    const bounds = cards.flatMap((card) => boundOn(card, found, bytes / values) ?? []);
    const lanes = found.lanesPerUnit ?? lanesOf(found.counts);
    return { name, ...program.figures, loop: found.counts, unit: found.unit, lanes, bounds };
  });
}

/** The table of one adapter, a pipeline a line. */
export function tableOf(adapter: AdapterName, reports: readonly Report[]): string {
  const cards = CARDS.filter((card) => card.adapter === adapter).map((card) => card.name);
  const head = [
    "",
    "regs",
    "shared",
    "waves",
    "spill",
    "scratch",
    "code",
    ...CLASSES,
    "lanes",
    "for a",
    ...cards,
  ];
  const rows = reports.map((report) => [
    report.name,
    ...[report.registers, report.workgroupBytes, report.subgroups, report.spills, report.scratchBytes].map(
      String,
    ),
    String(report.codeBytes),
    ...CLASSES.map((name) => String(report.loop[name] || "·")),
    report.unit ? report.lanes.toFixed(2) : String(report.lanes),
    report.unit ?? "trip",
    ...cards.map((card) => describe(report.bounds.find((bound) => bound.card === card))),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return [head, ...rows].map(line).join("\n");
}

function describe(bound: Bound | undefined): string {
  if (!bound) return "·";
  const { share, teraflops, pipe } = bound;
  return share === undefined ? `${teraflops!.toFixed(1)} T ${pipe}` : `${(100 * share).toFixed(0)} % ${pipe}`;
}
