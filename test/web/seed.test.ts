import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../node/host.ts";
import { expectBrowser, hasBrowser, useSources } from "../support/browser.ts";
import { SLOW_ON_SWIFTSHADER } from "../support/gpu.ts";

expectBrowser();

/** The driver that Chromium computes on where there is no graphics card: Node may load it as well. */
const SWIFTSHADER = process.env.SWIFTSHADER_ICD ?? "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Kernels of one row that are fused, and those of prompts. */
const OPTIONS = { decode: "f32 4x2", prefill: "f32 matmul", context: 32, chunk: 4, check: false };
const PROMPT = "Hello";
const SEEDED = { temperature: 3, top_p: 1, seed: 7, max_tokens: 8 };
const SCORED = [1, 300, 301, 302, 303];

/** The ids that were drawn, and the logits of a few tokens, bit by bit. */
interface Measured {
  readonly architecture: string;
  readonly ids: readonly number[];
  readonly logits: readonly number[];
}

/** What both run, as text: what an engine gives. */
const MEASURE = `async (engine) => {
  const ids = [];
  const { tokenizer } = engine;
  const stream = tokenizer.stream.bind(tokenizer);
  tokenizer.stream = () => {
    const decoder = stream();
    return { push: (id) => { ids.push(id); return decoder.push(id); }, end: () => decoder.end() };
  };
  await engine.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(SEEDED)}).complete();
  const logits = [];
  for await (const rows of engine.logits(${JSON.stringify(SCORED)})) logits.push(...new Uint32Array(rows.buffer));
  const { architecture } = engine.model.adapter;
  engine.destroy();
  return { architecture, ids, logits };
}`;

async function inNode(options: object): Promise<Measured> {
  const flags = [`disable-dawn-features=${SLOW_ON_SWIFTSHADER}`];
  const library = JSON.stringify(pathToFileURL(join(packageRoot, "dist/node/index.js")).href);
  const program = `
    import { load } from ${library};
    console.log(JSON.stringify(await (${MEASURE})(await load(${JSON.stringify({ ...options, flags })}))));`;
  const { stdout } = await promisify(execFile)("node", ["--input-type=module", "-e", program], {
    env: { ...process.env, VK_DRIVER_FILES: SWIFTSHADER },
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout) as Measured;
}

describe.skipIf(!hasBrowser || !existsSync(SWIFTSHADER))("the same seed in Node and in Chromium", () => {
  const sources = useSources();

  async function inChromium(options: object): Promise<Measured> {
    const page = await sources.browser.newPage();
    await page.goto(sources.server.blank);
    const measured = await page.evaluate(`(async (sources) => {
      const { loadEngine, httpFolder } = await import(sources + "src/index.ts");
      const { webHost } = await import(sources + "web/host.ts");
      const open = httpFolder(new URL("models/ziya-tiny/", location.href));
      return (${MEASURE})(await loadEngine(webHost(), open, ${JSON.stringify(options)}));
    })(${JSON.stringify(sources.server.address(""))})`);
    await page.close();
    return measured as Measured;
  }

  test("gives the same tokens from the same bits", async () => {
    const [there, here] = [await inChromium(OPTIONS), await inNode(OPTIONS)];
    expect([there.architecture, here.architecture]).toEqual(["swiftshader", "swiftshader"]);
    // Those of the prompt among them.
    expect(here.ids.length).toBeGreaterThan(SEEDED.max_tokens);
    expect(there.ids).toEqual(here.ids);
    expect(there.logits.length).toBeGreaterThan(1000 * SCORED.length);
    expect(there.logits).toEqual(here.logits);
  });
});
