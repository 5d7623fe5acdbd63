import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SHAPE_NAMES } from "../../fixtures/shapes.ts";
import { packageRoot } from "../../node/host.ts";
import { WEIGHT_FORMATS } from "../../src/stored.ts";
import { choice, count } from "../options.ts";
import { saveResults } from "../record.ts";
import { overBudget, readBudgets, writeBudgets } from "./budgets.ts";
import { ADAPTERS, type AdapterName, SELECTIONS } from "./cards.ts";
import { findLaboratory, laboratoryAdvice, TREE } from "./laboratory.ts";
import { reportsOn, tableOf } from "./report.ts";

const HELP = `Usage: npm run bench:isa -- [options]

Compiles every kernel with the compilers of graphics cards that need not be there, and prints of each pipeline what
they say and what its hottest loop is made of. A model of the instructions, and no measurement: nothing runs.

  --adapter NAMES  ${Object.keys(ADAPTERS).join(", ")} (default all)
  --weights NAMES  formats: ${WEIGHT_FORMATS.join(", ")} (default q4,q8,f16)
  --kernels WHICH  all; first: of each operation the first, of one row where it can, and products and
                   attention of several; streaming: of those the ones that read weights or the cache, in their
                   best way; leading: of these the ones in the arithmetic that comes first (default all)
  --only TEXT      kernels whose names have it
  --shape NAME     ${SHAPE_NAMES.join(", ")} (default ziya-13b)
  --tokens N       rows of a prefill pass (default 128)
  --unchecked      without the checks of indices that WebGPU adds: the toggle disable_robustness
  --toggles LIST   Dawn's: of a,-b the first on and the second off
  --budgets        make what the kernels take now their budgets in bench/isa/budgets.json
  --root DIR       where a Mesa with its drm shims is, as a system's tree (default what --setup made, or else /)
  --setup          unpack such a tree for this checkout, on Debian 12 or newer
  --out FILE       where the JSON goes (default bench/results/isa-<shape>-<adapter>-<date>.json; "-" for none)
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      adapter: { type: "string", default: Object.keys(ADAPTERS).join() },
      weights: { type: "string", default: "q4,q8,f16" },
      kernels: { type: "string", default: "all" },
      only: { type: "string", default: "" },
      shape: { type: "string", default: "ziya-13b" },
      tokens: { type: "string", default: "128" },
      unchecked: { type: "boolean", default: false },
      toggles: { type: "string" },
      budgets: { type: "boolean", default: false },
      root: { type: "string" },
      setup: { type: "boolean", default: false },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  if (values.setup) {
    const script = join(packageRoot, "bench", "isa", "tree.mjs");
    process.exitCode = spawnSync(process.execPath, [script, TREE], { stdio: "inherit" }).status ?? 1;
    return;
  }
  const adapters = values.adapter.split(",").map((name) => {
    return choice("adapter", name, Object.keys(ADAPTERS) as AdapterName[]);
  });
  for (const adapter of adapters) {
    const { vendor, budgeted } = ADAPTERS[adapter];
    const laboratory = findLaboratory(vendor, values.root);
    if (!laboratory) throw new Error(laboratoryAdvice(vendor));
    const request = {
      shape: choice("shape", values.shape, SHAPE_NAMES),
      formats: values.weights.split(",").map((name) => choice("weights", name, WEIGHT_FORMATS)),
      tokens: count("tokens", values.tokens),
      selection: values.budgets ? budgeted : choice("kernels", values.kernels, SELECTIONS),
      only: values.only,
      toggles: [
        ...(values.unchecked ? ["disable_robustness"] : []),
        ...(values.toggles === undefined ? [] : values.toggles.split(",")),
      ],
    };
    const reports = await reportsOn(adapter, laboratory, request);
    console.log(`${[adapter, request.shape, ...request.toggles].join(", ")}: a model, not a measurement\n`);
    console.log(`${tableOf(adapter, reports)}\n`);
    if (values.budgets) {
      for (const complaint of overBudget(reports, readBudgets()[adapter] ?? {}))
        console.log(`was: ${complaint}`);
      writeBudgets(adapter, reports);
    } else saveResults(`isa-${request.shape}`, values.out, { adapter, ...request, reports });
  }
}

main().catch((error: Error) => {
  console.error(`bench:isa: ${error.message}`);
  process.exitCode = 1;
});
