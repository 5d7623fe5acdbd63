// Run by laboratory.ts under a driver without hardware: compiles kernels one at a time. Tells what they are on standard
// output, a line of JSON each, and where the driver's own output of each ends on standard error.
import { writeSync } from "node:fs";
import { shapeConfig } from "../../fixtures/shapes.ts";
import { dawnHost } from "../../node/host.ts";
import { openDevice } from "../../src/gpu/device.ts";
import { listFusedSubjects } from "../fused-subjects.ts";
import { toggleFlags } from "../options.ts";
import { listSubjects, type Subject } from "../subjects.ts";
import { type Compiled, MARK, type Request } from "./laboratory.ts";

const request = JSON.parse(process.argv[2]!) as Request;
// NVIDIA's cards have f16 with other hosts; Dawn offers it under Vulkan, and matrices of subgroups, only where asked.
const ASKED = ["vulkan_enable_f16_on_nvidia", "allow_unsafe_apis", "use_vulkan_memory_model"];
const host = dawnHost(toggleFlags([...ASKED, ...request.toggles]));
const gpu = await openDevice(host);

const config = shapeConfig(request.shape, 1);
writeSync(2, `\n${MARK}\n`);
for (const format of request.formats) {
  const operations = new Set<string>();
  for (const subject of [
    ...listSubjects(gpu, config, format, request.tokens),
    ...listFusedSubjects(gpu, config, format),
  ]) {
    const isFirst = !operations.has(subject.operation);
    operations.add(subject.operation);
    if (request.selection !== "all" && !isFirst) continue;
    const isBest = request.selection === "streaming" || request.selection === "leading";
    if (isBest && subject.streams.length === 0) continue;
    if (request.selection === "leading" && subject.isOther) continue;
    const ways = subject.ways(gpu);
    await compile(subject, isBest ? ways.slice(0, 1) : ways);
  }
}
gpu.destroy();
host.release();

async function compile(subject: Subject, ways: readonly string[]): Promise<void> {
  const { tokens, bytes, bindings, streams } = subject;
  for (const way of ways) {
    const name = `${subject.name}, ${way}`;
    if (!name.includes(request.only)) continue;
    const made = gpu.made.size;
    await subject.prepare(gpu, way);
    // The pipeline of an earlier kernel, too: its name stands for both.
    if (gpu.made.size === made) continue;
    writeSync(2, `\n${MARK}\n`);
    const compiled: Compiled = { name, tokens, bytes, bindings, streams };
    writeSync(1, `${JSON.stringify(compiled)}\n`);
  }
}
