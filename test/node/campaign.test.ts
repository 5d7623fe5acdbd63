import { afterAll, expect, test } from "vitest";
import { type DawnHost, dawnHost } from "../../node/host.ts";
import { openModel } from "../../node/index.ts";
import { DeviceError, ZiyaError } from "../../src/errors.ts";
import { loadEngine } from "../../src/generate/load-engine.ts";
import { Gpu } from "../../src/gpu/device.ts";
import type { Host } from "../../src/host.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { trackBuffers } from "../support/devices.ts";
import { testDeviceOptions, useGpu } from "../support/gpu.ts";
import { randomStream } from "../support/random.ts";

/**
 * ZIYA_CAMPAIGN=1 runs the whole campaign, which takes minutes:
 * `ZIYA_CAMPAIGN=1 npx vitest run test/node/campaign.test.ts`. Without it each part is run a few times.
 */
const WHOLE = process.env.ZIYA_CAMPAIGN === "1";
const [MOMENTS, LOSSES, ROUNDS, ANSWERS, LOADS] = WHOLE ? [50, 40, 10, 2000, 100] : [2, 2, 1, 10, 0];
const CHATS = 20;
/** Odd, so that both ways to fail come up. */
const ALLOCATION_STEP = WHOLE ? 1 : 7;
const MINUTES = 60_000;
/** What the process may grow by in the second half of a campaign: pages that the allocators keep; one device has 6 MB. */
const MOST_GROWTH = 64 << 20;

const OPTIONS = { ...testDeviceOptions(), context: 128, chunk: 16 };
const QUESTION = [{ role: "user" as const, content: "重复:苹果 香蕉 西瓜" }];
const GREEDY = { temperature: 0, max_tokens: 12 };
const random = randomStream(8);

/** Calls of a device, as far as answers and loads make them: what is to happen at one of them can be said. */
class Watched {
  readonly live = new Set<GPUBuffer>();
  calls = 0;
  at = Number.POSITIVE_INFINITY;
  onDestroy = () => {};
  private readonly dawn: DawnHost = dawnHost();
  private device: GPUDevice | undefined;

  readonly host: Host = {
    readShader: this.dawn.readShader,
    gpu: Object.create(this.dawn.gpu, {
      wgslLanguageFeatures: { value: this.dawn.gpu.wgslLanguageFeatures },
      requestAdapter: {
        value: async (options: GPURequestAdapterOptions) => {
          const adapter = await this.dawn.gpu.requestAdapter(options);
          const request = adapter?.requestDevice.bind(adapter);
          if (adapter && request) {
            adapter.requestDevice = async (descriptor) => this.watch(await request(descriptor));
          }
          return adapter;
        },
      },
    }),
  };

  end(): void {
    this.device?.destroy();
    this.dawn.release();
  }

  private watch(device: GPUDevice): GPUDevice {
    this.device = device;
    const count = <Arguments extends unknown[], Result>(call: (...args: Arguments) => Result) => {
      return (...args: Arguments): Result => {
        if (++this.calls === this.at) {
          device.destroy();
          this.onDestroy();
        }
        return call(...args);
      };
    };
    const { queue } = device;
    device.createBuffer = count(device.createBuffer.bind(device));
    trackBuffers(device, this.live);
    const createBuffer = device.createBuffer;
    device.createBuffer = (descriptor) => {
      const buffer = createBuffer(descriptor);
      buffer.mapAsync = count(buffer.mapAsync.bind(buffer));
      buffer.getMappedRange = count(buffer.getMappedRange.bind(buffer));
      return buffer;
    };
    device.createBindGroup = count(device.createBindGroup.bind(device));
    device.createShaderModule = count(device.createShaderModule.bind(device));
    device.createComputePipelineAsync = count(device.createComputePipelineAsync.bind(device));
    device.createCommandEncoder = count(device.createCommandEncoder.bind(device));
    device.popErrorScope = count(device.popErrorScope.bind(device));
    queue.writeBuffer = count(queue.writeBuffer.bind(queue)) as GPUQueue["writeBuffer"];
    queue.submit = count(queue.submit.bind(queue));
    queue.onSubmittedWorkDone = count(queue.onSubmittedWorkDone.bind(queue));
    return device;
  }
}

/** A load and an answer, with what was given out until it failed. */
async function loadAndAnswer(watched: Watched): Promise<{ text: string; calls: number; error?: unknown }> {
  let text = "";
  let calls = 0;
  try {
    const engine = await loadEngine(watched.host, openModel(), OPTIONS);
    calls = watched.calls;
    try {
      for await (const piece of engine.chat(QUESTION, GREEDY)) text += piece;
    } finally {
      engine.destroy();
    }
    return { text, calls };
  } catch (error) {
    return { text, calls, error };
  } finally {
    watched.end();
  }
}

let right: Promise<{ text: string; loading: number; calls: number }> | undefined;
/** What comes when nothing fails, how many calls it takes, and how many of them to load. */
function rightAnswer() {
  right ??= (async () => {
    const watched = new Watched();
    const { text, calls, error } = await loadAndAnswer(watched);
    expect(error).toBeUndefined();
    expect(text.length).toBeGreaterThan(2);
    return { text, loading: calls, calls: watched.calls };
  })();
  return right;
}

test(
  "a device destroyed at any moment ends a load in a typed error and no answer, and leaves no buffer",
  async () => {
    const { text: whole, loading, calls } = await rightAnswer();
    for (let i = 0; i < MOMENTS; i++) {
      const watched = new Watched();
      // Half of them while it loads, half while it answers.
      const [first, last] = i % 2 === 0 ? [1, loading] : [loading + 1, calls];
      watched.at = first + Math.floor(random() * (last - first + 1));
      const { text, error } = await loadAndAnswer(watched);
      const moment = `call ${watched.at} of ${calls}, ${loading} of them to load`;
      if (error === undefined) expect(text, moment).toBe(whole);
      else {
        expect(error, `${moment}: ${(error as Error).stack}`).toBeInstanceOf(ZiyaError);
        expect(watched.at, `${moment}: ${(error as Error).stack}`).toBeLessThanOrEqual(loading);
      }
      expect(watched.live.size, moment).toBe(0);
    }
  },
  20 * MINUTES,
);

test(
  "devices destroyed at any moment of several answers, and of the loads after it, change none of them",
  async () => {
    const { loading } = await rightAnswer();
    const watched = new Watched();
    const engine = await loadEngine(watched.host, openModel(), { ...OPTIONS, cacheTokens: 512 });
    const kinds = [GREEDY, { ...GREEDY, temperature: 1, seed: 7 }, { num_beams: 3, max_tokens: 6 }];
    const ask = () =>
      Promise.all(kinds.map(async (kind) => (await engine.chat(QUESTION, kind).complete()).text));
    const whole = await ask();
    const before = watched.calls;
    expect(await ask()).toEqual(whole);
    const calls = watched.calls - before;
    for (let i = 0; i < LOSSES; i++) {
      const loseWithin = (most: number) => {
        watched.at = watched.calls + 1 + Math.floor(random() * most);
      };
      const moments: number[] = [];
      watched.onDestroy = () => {
        moments.push(watched.at);
        // Three in a row would be the end.
        if (moments.length < 2 && random() < 0.5) loseWithin(2 * loading);
      };
      const start = watched.calls;
      loseWithin(calls);
      const texts = await ask();
      expect(texts, `${i}: calls ${moments.map((at) => at - start)} of ${calls}`).toEqual(whole);
      watched.at = Number.POSITIVE_INFINITY;
    }
    engine.destroy();
    expect(watched.live.size).toBe(0);
    watched.end();
  },
  20 * MINUTES,
);

test(
  "chats begun, aborted and dropped at random beside destroy() end in typed errors or what is right",
  async () => {
    const { text: whole } = await rightAnswer();
    const outcomes = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const watched = new Watched();
      const engine = await loadEngine(watched.host, openModel(), OPTIONS);
      let busy = false;
      const chat = async () => {
        await new Promise((resolve) => setTimeout(resolve, random() * 400));
        const kind = random();
        const abort = new AbortController();
        if (kind < 0.3) setTimeout(() => abort.abort(), random() * 40);
        let text = "";
        // One answer at a time: the others wait for theirs.
        while (busy) await new Promise((resolve) => setTimeout(resolve, random() * 10));
        const waits = random() < 0.9;
        if (waits) busy = true;
        try {
          for await (const piece of engine.chat(QUESTION, { ...GREEDY, signal: abort.signal })) {
            text += piece;
            if (kind > 0.7 && random() < 0.3) break;
          }
          return [text, "ended"] as const;
        } catch (error) {
          expect(error, String((error as Error).stack)).toBeInstanceOf(ZiyaError);
          return [text, (error as ZiyaError).code] as const;
        } finally {
          if (waits) busy = false;
        }
      };
      const chats = Array.from({ length: CHATS }, chat);
      const destroyed = new Promise((resolve) => setTimeout(resolve, 200 + random() * 1500)).then(() =>
        engine.destroy(),
      );
      for (const [text, end] of await Promise.all(chats)) {
        expect(whole.startsWith(text), text).toBe(true);
        outcomes.set(end, (outcomes.get(end) ?? 0) + 1);
      }
      // It may come after the last of them.
      await destroyed;
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(watched.live.size).toBe(0);
      watched.end();
    }
    console.info(`${ROUNDS * CHATS} chats:`, Object.fromEntries(outcomes));
    expect([...outcomes.values()].reduce((a, b) => a + b)).toBe(ROUNDS * CHATS);
  },
  20 * MINUTES,
);

test(
  "short answers and loads leave the process as large as it was",
  async () => {
    const resident: number[] = [];
    const { text: whole } = await rightAnswer();
    const engine = await loadEngine(host, openModel(), OPTIONS);
    for (let i = 0; i < ANSWERS; i++) {
      const { text } = await engine.chat(QUESTION, { temperature: 0, max_tokens: 2 }).complete();
      expect(whole.startsWith(text)).toBe(true);
      if (i >= ANSWERS / 2) resident.push(process.memoryUsage.rss());
    }
    engine.destroy();
    const growth = { answers: resident.at(-1)! - resident[0]!, loads: 0 };
    resident.length = 0;
    for (let i = 0; i < LOADS; i++) {
      (await loadEngine(host, openModel(), OPTIONS)).destroy();
      if (i >= LOADS / 2) resident.push(process.memoryUsage.rss());
    }
    if (LOADS > 0) growth.loads = resident.at(-1)! - resident[0]!;
    console.info(`${ANSWERS} answers and ${LOADS} loads, growth in the second half, bytes:`, growth);
    expect(growth.answers).toBeLessThan(MOST_GROWTH);
    expect(growth.loads).toBeLessThan(MOST_GROWTH);
  },
  60 * MINUTES,
);

const host = dawnHost();
afterAll(() => host.release());

const shared = useGpu();

test("every allocation that fails in turn is a typed error with need and have, and leaves nothing", async () => {
  const on = shared();
  const { device } = on;
  const own = new Gpu({ gpu: host.gpu, readShader: on.readShader }, on.adapter, device, on.features);
  const tokens = [3, 4, 5, 6, 7];
  const run = async () => {
    const model = await loadModel(own, randomFolder({}, 7).open, { chunk: 4 });
    try {
      const result = await model.forward(model.open(), tokens, "logits");
      await model.calibrate([tokens]);
      for await (const _ of model.logits(tokens));
      return result;
    } finally {
      model.destroy();
    }
  };
  const create = device.createBuffer.bind(device);
  const pop = device.popErrorScope.bind(device);
  let count = 0;
  let failing = 0;
  let failed = false;
  device.createBuffer = (descriptor) => {
    if (++count === failing && failing % 2 === 0) throw new RangeError("no room");
    failed = count === failing;
    return create(descriptor);
  };
  // Every other time as WebGPU has it: the error scope around the call tells.
  device.popErrorScope = () => {
    const error = pop();
    if (!failed) return error;
    failed = false;
    return error.then(() => new GPUOutOfMemoryError("no room"));
  };
  const wanted = await run();
  const allocations = count;
  expect(allocations).toBeGreaterThan(30);
  for (failing = 1; failing <= allocations; failing += ALLOCATION_STEP) {
    count = 0;
    const running = run();
    await expect(running, `allocation ${failing}`).rejects.toThrow(DeviceError);
    await expect(running).rejects.toThrow(/needs \d+ bytes beside the \d+ that are allocated.*no room/);
    expect(own.allocated).toBe(0);
  }
  if (WHOLE) console.info(`${allocations} allocations failed in turn`);
  failing = 0;
  expect(await run()).toEqual(wanted);
  device.createBuffer = create;
  device.popErrorScope = pop;
});
