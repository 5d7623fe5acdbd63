// Prints the sum of vitest's JSON reports as "N passed, N failed, N skipped" and exits with 1 when one failed.
// A report without tests is a run that did not start, and a file without tests is one that did not load: both count
// as one failure.

import { readFileSync } from "node:fs";

let passed = 0;
let failed = 0;
let skipped = 0;
for (const path of process.argv.slice(2)) {
  const report = JSON.parse(readFileSync(path, "utf8"));
  if (!report.numTotalTests) failed += 1;
  passed += report.numPassedTests ?? 0;
  failed += report.numFailedTests ?? 0;
  skipped += (report.numPendingTests ?? 0) + (report.numTodoTests ?? 0);
  for (const { status, assertionResults } of report.testResults ?? []) {
    if (status === "failed" && assertionResults.length === 0) failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 ? 1 : 0;
