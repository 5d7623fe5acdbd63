import { execFile } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { packageRoot } from "../../node/host.ts";
import { testDeviceOptions } from "../support/gpu.ts";

const run = promisify(execFile);
const dist = (...path: string[]) => JSON.stringify(pathToFileURL(join(packageRoot, "dist", ...path)).href);

/** A process that hangs is ended after this; the slowest takes a tenth of it. */
const MOST_MILLISECONDS = 60_000;

/** What every program begins with. `collect` runs the collector before and between Dawn's turns of the event loop. */
const PROLOGUE = `
import { Worker } from "node:worker_threads";
import { dawnHost, load } from ${dist("node", "index.js")};
import { openDevice } from ${dist("src", "gpu", "device.js")};
const library = ${dist("node", "index.js")};
const device = ${JSON.stringify(testDeviceOptions())};
const question = [{ role: "user", content: "3+4" }];
const short = { temperature: 0, max_tokens: 2 };
const collect = async () => {
  for (let turn = 0; turn < 5; turn++) {
    for (let step = 0; step < 30; step++) { await undefined; if (step % 10 === 9) gc(); }
    await new Promise(setImmediate);
  }
};
// Devices that outlive their host: Dawn's turns come as long as there are some.
const kept = [];
const open = async (host) => { const gpu = await openDevice(host, device); kept.push(gpu.device); return gpu; };
// What work leaves behind in variables and registers is out of the collector's reach while it runs, but not after.
const aside = async (work) => { await work(); await collect(); };
const failing = async (options) => load({ ...device, ...options }).then(() => { throw new Error("it loaded"); }, () => {});
`;

/** Every way to let go of a host, as programs: they end by themselves, with 0, wherever the collector runs. */
const PROGRAMS: Record<string, string> = {
  "a device that did nothing": `
    await aside(async () => {
      const host = dawnHost();
      (await open(host)).destroy();
      host.release();
    });`,
  "a host before its device is destroyed, and before it is there": `
    const failures = [];
    let destroy;
    await aside(async () => {
      const host = dawnHost();
      const gpu = await open(host);
      destroy = () => gpu.destroy();
      open(host).then((late) => late.destroy(), ({ code }) => failures.push(code));
      gpu.device.queue.onSubmittedWorkDone();
      host.release();
    });
    destroy();
    destroy = undefined;
    await collect();
    if (failures.join() !== "device") throw new Error("a host that was released failed with " + failures);`,
  "a host whose device works on": `
    let working;
    await aside(async () => {
      const host = dawnHost();
      working = await (await host.gpu.requestAdapter()).requestDevice();
      working.queue.onSubmittedWorkDone();
      host.release();
    });
    working.queue.onSubmittedWorkDone();
    await collect();
    working.destroy();
    await collect();`,
  "hosts that nobody released": `
    await aside(async () => void (await open(dawnHost())));
    await aside(async () => (await open(dawnHost())).destroy());`,
  "loads that fail, and that are aborted": `
    await aside(() => failing({ context: 0 }));
    await aside(() => failing({ adapter: "no such adapter" }));
    for (const after of [0, 0.5]) {
      const stop = new AbortController();
      if (after === 0) setTimeout(() => stop.abort(), 50);
      const onProgress = (loaded, total) => { if (after > 0 && loaded > after * total) stop.abort(); };
      await aside(() => failing({ signal: stop.signal, onProgress }));
    }`,
  "two engines, each in an answer, one destroyed and one forgotten": `
    await aside(async () => {
      const engines = await Promise.all([load(device), load(device)]);
      kept.push(...engines);
      const answers = engines.map((engine) => engine.chat(question, short).complete().catch(() => {}));
      await new Promise((resolve) => setTimeout(resolve, 20));
      engines[0].destroy();
      await Promise.all(answers);
    });`,
  // Terminated while Dawn calls back, a worker takes the process along: Dawn's binding has no answer to that.
  "workers, one that ends and one that is terminated with its engine": `
    const code = \`
      import { parentPort, workerData } from "node:worker_threads";
      import { load } from \${JSON.stringify(library)};
      const engine = await load(workerData.device);
      await engine.chat(workerData.question, workerData.short).complete();
      if (workerData.ends) engine.destroy();
      else parentPort.on("message", () => {}).postMessage("answered");\`;
    const url = new URL("data:text/javascript," + encodeURIComponent(code));
    const start = (ends) => new Worker(url, { workerData: { device, question, short, ends } });
    const exit = (worker) => new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
    const other = start(false);
    other.on("message", () => setTimeout(() => other.terminate(), 20));
    const codes = await Promise.all([exit(start(true)), exit(other)]);
    if (codes.join() !== "0,1") throw new Error("the workers ended with " + codes);
    await collect();`,
};

test.concurrent.each(Object.entries(PROGRAMS))(
  "a process lets go of %s and ends by itself",
  async (_, program) => {
    const code = `${PROLOGUE}${program}\nconsole.log("end");`;
    const args = ["--expose-gc", "--input-type=module", "-e", code];
    // A process that ends with another code, or with a signal, rejects.
    const { stdout } = await run(process.execPath, args, { timeout: MOST_MILLISECONDS });
    expect(stdout).toBe("end\n");
  },
);
