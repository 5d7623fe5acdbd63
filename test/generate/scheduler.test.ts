import { describe, expect, test } from "vitest";
import { BusyError, ContextOverflowError, OptionError } from "../../src/errors.ts";
import { Recovery } from "../../src/generate/recovery.ts";
import { makeSampler } from "../../src/generate/sampler.ts";
import { Scheduler, type SchedulerOptions } from "../../src/generate/scheduler.ts";
import { shareOut } from "../../src/generate/share.ts";
import type { Request, Ticket } from "../../src/generate/ticket.ts";
import { FakeModel, type FakeModelOptions, scatter } from "../support/model.ts";
import { randomStream } from "../support/random.ts";

const COUNT = 50;
const SAMPLING = { temperature: 0, top_k: 10, top_p: 0.9, min_p: 0, repetition_penalty: 1, seed: 3 };

function schedule(options: Partial<FakeModelOptions> = {}, scheduling: SchedulerOptions = {}) {
  const model = new FakeModel({ tokenCount: COUNT, ...options });
  return { model, scheduler: new Scheduler(new Recovery({ model }), scheduling) };
}

const asking = (prompt: readonly number[], maxTokens: number, sampling = {}): Request => ({
  prompt,
  maxTokens,
  sampler: makeSampler({ ...SAMPLING, ...sampling }),
  stopIds: new Set(),
});

/** Reads `count` tokens, one after the other. */
async function read(ticket: Ticket, count: number): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < count) ids.push((await ticket.next()).id);
  return ids;
}

async function answer(scheduler: Scheduler, request: Request, count = request.maxTokens): Promise<number[]> {
  const ticket = scheduler.submit(request);
  try {
    return await read(ticket, count);
  } finally {
    await scheduler.close(ticket);
  }
}

/** The same without a cache or a scheduler. */
function reference({ prompt }: Request, count: number, sampling = {}): number[] {
  const sampler = makeSampler({ ...SAMPLING, ...sampling });
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = scatter(tokens, COUNT);
    tokens.push(sampler.sample({ ids: Uint32Array.from(logits, (_, id) => id), logits }, new Set(tokens)));
  }
  return tokens.slice(prompt.length);
}

const SEVERAL = [
  asking([1, 2, 3, 4, 5, 6, 7, 8, 9], 5),
  asking([11], 6),
  asking([21, 22], 1),
  asking([1, 2, 3, 30], 7),
];

describe("several at once", () => {
  test("share passes, and each has the tokens that it has alone", async () => {
    const { model, scheduler } = schedule({ pages: 32 });
    const got = await Promise.all(SEVERAL.map((request) => answer(scheduler, request)));
    expect(got).toEqual(SEVERAL.map((request) => reference(request, request.maxTokens)));
    expect(scheduler.open).toBe(0);
    // 5 + 6 + 1 + 7 tokens and four prompts, alone 22 passes.
    expect(model.passes.length).toBeLessThan(14);
    expect(Math.max(...model.passes.map((parts) => parts.length))).toBe(3);
  });

  test("are no more than a pass has rows", async () => {
    const { model, scheduler } = schedule({ pages: 32, chunk: 2 });
    const requests = [1, 2, 3, 4].map((id) => asking([id], 5));
    const got = await Promise.all(requests.map((request) => answer(scheduler, request)));
    expect(got).toEqual(requests.map((request) => reference(request, 5)));
    expect(Math.max(...model.passes.map((parts) => parts.flat().length))).toBe(2);
    expect(() => schedule({ chunk: 2 }, { parallel: 2 })).not.toThrow();
    expect(() => schedule({ chunk: 2 }, { parallel: 3 })).toThrow(OptionError);
  });

  test("are as many as a pass has rows, also where it takes less of a prompt, to leave no row alone", () => {
    const model = new FakeModel({ tokenCount: COUNT });
    model.rowsOf = (left) => (left === 16 ? 14 : Math.min(left, 15));
    expect(() => new Scheduler(new Recovery({ model }), { parallel: 15 })).not.toThrow();
  });

  test("each by its own options, whatever the others want of the logits", async () => {
    const kinds = [
      {},
      { temperature: 0.9 },
      { temperature: 2, repetition_penalty: 1.3 },
      { temperature: 1, top_k: 0 },
    ];
    const { scheduler } = schedule({ pages: 32 });
    const requests = kinds.map((sampling, i) => asking([i, 5, 6], 9, sampling));
    const got = await Promise.all(requests.map((request) => answer(scheduler, request)));
    expect(got).toEqual(requests.map((request, i) => reference(request, 9, kinds[i])));
  });

  test("a short prompt does not wait for a long one", async () => {
    const { scheduler, model } = schedule({ pages: 32, chunk: 8 });
    const done: string[] = [];
    const long = answer(
      scheduler,
      asking(
        Array.from({ length: 60 }, (_, i) => i % 40),
        1,
      ),
    );
    const short = answer(scheduler, asking([41, 42, 43], 3));
    await Promise.all([long.then(() => done.push("long")), short.then(() => done.push("short"))]);
    expect(done).toEqual(["short", "long"]);
    expect(model.passes[0]!.map((part) => part.length)).toEqual([3, 5]);
  });

  test("a decoding one goes on between the chunks of a prompt", async () => {
    const { scheduler, model } = schedule({ pages: 32, chunk: 4 });
    const first = scheduler.submit(asking([1, 2], 30));
    await read(first, 1);
    const prompt = Array.from({ length: 20 }, (_, i) => i);
    const before = model.passes.length;
    const [decoded] = await Promise.all([read(first, 6), answer(scheduler, asking(prompt, 1))]);
    expect(decoded).toEqual(reference(asking([1, 2], 30), 7).slice(1));
    const kinds = model.passes.slice(before).map((parts) => (parts[0]!.length === 1 ? "token" : "chunk"));
    expect(kinds.slice(0, 8)).toEqual([
      "token",
      "chunk",
      "token",
      "chunk",
      "token",
      "chunk",
      "token",
      "chunk",
    ]);
    await scheduler.close(first);
  });

  test("nobody runs far ahead of a slow reader", async () => {
    const { scheduler, model } = schedule({ pages: 32 });
    const slow = scheduler.submit(asking([1, 2], 30));
    await read(slow, 1);
    await answer(scheduler, asking([7, 8], 12));
    expect(model.passes.filter((parts) => parts.length > 1).length).toBeLessThanOrEqual(1);
    expect(await read(slow, 4)).toEqual(reference(asking([1, 2], 30), 5).slice(1));
    await scheduler.close(slow);
  });
});

describe("more than fit", () => {
  test("wait in order, up to a bound", async () => {
    const { scheduler } = schedule({ pages: 32 }, { parallel: 2, queue: 1 });
    const answers = [1, 2, 3].map((id) => answer(scheduler, asking([id, id], 4)));
    expect(() => scheduler.submit(asking([4], 1))).toThrow(BusyError);
    expect(await Promise.all(answers)).toEqual([1, 2, 3].map((id) => reference(asking([id, id], 4), 4)));
    expect(await answer(scheduler, asking([4], 1))).toEqual(reference(asking([4], 1), 1));
  });

  test("who came last is put back where the cache is full, and goes on later with the same tokens", async () => {
    // 64 positions for three of 8 + 40 tokens.
    const { scheduler, model } = schedule({ pages: 8 });
    const requests = [1, 2, 3].map((id) => asking([id, 2, 3, 4, 5, 6, 7, 8], 40, { temperature: 1 }));
    const got = await Promise.all(requests.map((request) => answer(scheduler, request)));
    expect(got).toEqual(requests.map((request) => reference(request, 40, { temperature: 1 })));
    expect(model.open([0]).length).toBe(0);
    expect(scheduler.open).toBe(0);
  });

  test("who was put back, or found no room, comes before those who came later", async () => {
    const inOrder = async (
      scheduler: Scheduler,
      requests: readonly Request[],
      begun: () => void = () => {},
    ) => {
      const done: number[] = [];
      const answers = requests.map((request, i) => answer(scheduler, request).then(() => done.push(i)));
      begun();
      await Promise.all(answers);
      return done;
    };
    // The second one is put back where both have 32 positions of 64. The third, which fits beside the first, waits behind it.
    const long = [1, 2].map((id) => asking([id, 2, 3, 4, 5, 6, 7, 8], 40));
    const crowded = schedule({ pages: 8 }, { parallel: 2 });
    expect(await inOrder(crowded.scheduler, [...long, asking([3], 2)])).toEqual([0, 2, 1]);
    const { scheduler, model } = schedule({ pages: 8 }, { parallel: 1 });
    const guest = scheduler.places.guests.enter();
    const held = model.open();
    held.reserve(56);
    const leave = () => {
      setTimeout(() => {
        held.discard();
        guest.leave();
      }, 10);
    };
    const prompt = Array.from({ length: 20 }, (_, i) => i);
    expect(await inOrder(scheduler, [asking(prompt, 2), asking([3], 2)], leave)).toEqual([0, 1]);
  });

  test("a prompt for which there is no room alone has an error", async () => {
    const { scheduler } = schedule({ pages: 2 });
    const long = Array.from({ length: 20 }, (_, i) => i);
    await expect(answer(scheduler, asking(long, 1))).rejects.toThrow(ContextOverflowError);
    expect(await answer(scheduler, asking([4, 5], 3))).toEqual(reference(asking([4, 5], 3), 3));
  });

  test.each([
    ["place", 2, 2, { pages: 32 }, { parallel: 1 }],
    // Of eight pages it has seven.
    ["room in the cache", 50, 16, { pages: 8 }, { parallel: 4 }],
  ] as const)(
    "a reader that stays away loses its %s to one that waits, and nothing else",
    { timeout: 10_000 },
    async (_, long, short, options, scheduling) => {
      const { scheduler } = schedule(options, scheduling);
      const wanting = (length: number, first: number) =>
        asking(
          Array.from({ length }, (_, i) => first + (i % 7)),
          12,
        );
      const away = scheduler.submit(wanting(long, 1));
      const first = await read(away, 2);
      const other = wanting(short, 20);
      expect(await answer(scheduler, other, 5)).toEqual(reference(other, 5));
      expect([...first, ...(await read(away, 3))]).toEqual(reference(wanting(long, 1), 5));
      // What it finds of its own again was not there before.
      expect(away.cached).toBe(0);
      await scheduler.close(away);
    },
  );
});

describe("an end", () => {
  test("in a queue, in a prompt and in a pass leaves nothing behind", async () => {
    const { scheduler, model } = schedule({ pages: 16 }, { parallel: 2 });
    const long = Array.from({ length: 40 }, (_, i) => i);
    const tickets = [asking(long, 9), asking([5, 6], 20), asking([8], 2)].map((request) =>
      scheduler.submit(request),
    );
    const reading = tickets.map((ticket) =>
      ticket.next().then(
        () => "read",
        () => "failed",
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const ticket of tickets) ticket.fail(new Error("enough"));
    await Promise.all(tickets.map((ticket) => scheduler.close(ticket)));
    expect((await Promise.all(reading)).filter((how) => how === "failed").length).toBeGreaterThan(0);
    expect(scheduler.open).toBe(0);
    const everything = model.open();
    everything.reserve(model.contextLength);
    everything.discard();
    expect(await answer(scheduler, asking([1, 2], 3))).toEqual(reference(asking([1, 2], 3), 3));
  });

  test("of a pass is everybody's who ran in it, and nobody's after", async () => {
    let broken = true;
    const { scheduler, model } = schedule({
      pages: 32,
      logitsAfter: (tokens) => {
        if (broken && tokens.includes(13)) throw new Error("device gone");
        return scatter(tokens, COUNT);
      },
    });
    const results = await Promise.allSettled([1, 13].map((id) => answer(scheduler, asking([id, 2], 3))));
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    // Whatever the pass has left in the cache.
    for (const id of [1, 13]) expect(model.open([id, 2, 0]).length).toBe(0);
    broken = false;
    expect(await answer(scheduler, asking([13, 2], 3))).toEqual(reference(asking([13, 2], 3), 3));
  });

  test("of logits that are no numbers is their own", async () => {
    const { scheduler } = schedule({
      pages: 32,
      logitsAfter: (tokens) =>
        tokens[0] === 13 ? new Float32Array(COUNT).fill(Number.NaN) : scatter(tokens, COUNT),
    });
    const [good, bad] = await Promise.allSettled([1, 13].map((id) => answer(scheduler, asking([id, 2], 3))));
    expect(good).toEqual({ status: "fulfilled", value: reference(asking([1, 2], 3), 3) });
    expect(bad!.status).toBe("rejected");
  });
});

test.each([
  ["to begin", 2],
  ["for their next page, from what they had", 1],
])("those for whom a guest leaves no room wait until it leaves, %s", { timeout: 10_000 }, async (_, free) => {
  const { scheduler, model } = schedule({ pages: 8 });
  const guest = scheduler.places.guests.enter();
  await guest.turn;
  const held = model.open();
  await scheduler.run(async () => held.reserve(64 - 8 * free));
  // Two pages to begin, or one until the ninth token.
  const request = asking(
    Array.from({ length: free === 2 ? 17 : 5 }, (_, i) => i),
    9,
  );
  const got = answer(scheduler, request);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const tokens = model.calls.flat().length;
  expect(tokens).toBe(free === 2 ? 0 : 8);
  held.discard();
  guest.leave();
  expect(await got).toEqual(reference(request, 9));
  expect(scheduler.open).toBe(0);
});

test("who gives way to a guest waits until it leaves, whatever room there is before", async () => {
  const { scheduler, model } = schedule({ pages: 8 });
  const guest = scheduler.places.guests.enter();
  const request = asking([1, 2, 3], 30);
  const ticket = scheduler.submit(request);
  const first = await read(ticket, 2);
  const more = read(ticket, 28);
  const held = model.open();
  await scheduler.run(async () => {
    expect(scheduler.places.yieldOne()).toBe(true);
    held.reserve(64);
  });
  held.discard();
  const passes = model.passes.length;
  // Between two of these, whoever may is served.
  for (let i = 0; i < 3; i++) await scheduler.run(async () => {});
  expect(model.passes.length).toBe(passes);
  guest.leave();
  expect([...first, ...(await more)]).toEqual(reference(request, 30));
  await scheduler.close(ticket);
});

test("what needs the model for itself runs between two passes", { timeout: 10_000 }, async () => {
  const { scheduler, model } = schedule({ pages: 32 });
  const ticket = answer(scheduler, asking([1, 2], 6));
  let during = -1;
  const result = await scheduler.run(async () => {
    const before = model.passes.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    during = model.passes.length - before;
    return "scored";
  });
  expect([result, during]).toEqual(["scored", 0]);
  await expect(scheduler.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await ticket).toEqual(reference(asking([1, 2], 6), 6));
  // Also where it is asked for meanwhile, and nobody is answered.
  const later = await scheduler.run(async () => ({ done: scheduler.run(async () => "later") }));
  expect(await later.done).toBe("later");
});

test("hundreds of random requests, a third of which are left, end as they would alone", async () => {
  const { scheduler, model } = schedule({ pages: 12, contextLength: 64 }, { parallel: 4, queue: 2000 });
  const next = randomStream(7);
  const whole = (most: number) => Math.floor(next() * most);
  const requests = Array.from({ length: 400 }, () => {
    const prompt = Array.from({ length: 1 + whole(30) }, (_, i) => (i < 8 ? i : whole(40)));
    const maxTokens = 1 + whole(20);
    return { request: asking(prompt, maxTokens), left: whole(3) === 0 ? whole(maxTokens) : maxTokens };
  });
  await Promise.all(
    requests.map(async ({ request, left }) => {
      expect(await answer(scheduler, request, left)).toEqual(reference(request, left));
    }),
  );
  expect(scheduler.open).toBe(0);
  for (let i = 0; i < 12; i += 4) {
    // Every page is free or can be had.
    const sequence = model.open();
    sequence.reserve(64);
    sequence.discard();
  }
});

test.each([
  [[2, 5, 90], 32, [2, 5, 25]],
  [[40, 40], 32, [16, 16]],
  [[2, 2, 2], 5, [2, 2, 1]],
  [[33], 32, [31]],
  [[17, 90], 32, [15, 17]],
  [[2, 9], 1, [1]],
])("prompts of %j rows share %i as %j", (left, room, shares) => {
  expect(shareOut(left, room)).toEqual(shares);
});
