import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../node/host.ts";
import type { AdapterName } from "./cards.ts";
import type { Report } from "./report.ts";

/** What a kernel may take. Where it takes less, its budget is to be lowered. */
export interface Budget {
  readonly registers: number;
  /** Workgroup memory. */
  readonly workgroupBytes: number;
  /** Subgroups that fit at once: at least so many. */
  readonly subgroups: number;
  readonly scratchBytes: number;
  readonly codeBytes: number;
  /** Lane instructions for each unit of its work, or of a trip of its hottest loop where that is not known. */
  readonly lanes: number;
}

/** By adapter and kernel. */
export type Budgets = { readonly [Adapter in AdapterName]?: Readonly<Record<string, Budget>> };

/** How much of a budget may be exceeded: less than a change that matters, more than a compiler's next release differs by. */
const TOLERANCE = 0.05;

const FILE = join(packageRoot, "bench", "isa", "budgets.json");

export function readBudgets(): Budgets {
  return JSON.parse(readFileSync(FILE, "utf8")) as Budgets;
}

/** Makes what kernels take now the budgets of an adapter; others keep theirs. */
export function writeBudgets(adapter: AdapterName, reports: readonly Report[]): void {
  const budgets = Object.fromEntries(reports.map((report) => [report.name, usedBy(report)]));
  writeFileSync(FILE, `${JSON.stringify({ ...readBudgets(), [adapter]: budgets }, null, 2)}\n`);
}

/** What a kernel takes, as a budget. */
function usedBy({ registers, workgroupBytes, subgroups, scratchBytes, codeBytes, lanes }: Report): Budget {
  return { registers, workgroupBytes, subgroups, scratchBytes, codeBytes, lanes: Number(lanes.toFixed(2)) };
}

/** Every kernel that spills, has no budget or exceeds it, and every budget of a kernel that is not there: a sentence each. */
export function overBudget(reports: readonly Report[], budgets: Readonly<Record<string, Budget>>): string[] {
  const complaints: string[] = [];
  for (const report of reports) {
    const { name, spills } = report;
    if (spills > 0) complaints.push(`${name} spills ${spills} values to memory; wanted none.`);
    const budget = budgets[name];
    if (!budget) {
      complaints.push(`${name} has no budget; give it one by "npm run bench:isa -- --budgets".`);
      continue;
    }
    const used = usedBy(report);
    if (used.subgroups < budget.subgroups * (1 - TOLERANCE)) {
      complaints.push(`${name} has room for ${used.subgroups} subgroups; its budget is ${budget.subgroups}.`);
    }
    for (const key of Object.keys(WORDS) as (keyof typeof WORDS)[]) {
      if (used[key] <= budget[key] * (1 + TOLERANCE)) continue;
      complaints.push(`${name} takes ${used[key]} ${WORDS[key]}; its budget is ${budget[key]}.`);
    }
  }
  const names = new Set(reports.map(({ name }) => name));
  for (const name of Object.keys(budgets)) {
    if (!names.has(name))
      complaints.push(`${name} has a budget and is no kernel; take it out of bench/isa/budgets.json.`);
  }
  return complaints;
}

/** What a kernel should take little of. */
const WORDS: Readonly<Record<Exclude<keyof Budget, "subgroups">, string>> = {
  registers: "registers",
  workgroupBytes: "bytes of workgroup memory",
  scratchBytes: "bytes of private memory",
  codeBytes: "bytes of code",
  lanes: "lane instructions in its hottest loop",
};
