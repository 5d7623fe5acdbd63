import { expect, test } from "vitest";
import { answering, user } from "../support/engine.ts";
import { runAheadOf } from "../support/model.ts";

/** Longer than a page, so that it takes more than its prompt did. */
const REPLY = "a rather long answer of more than one page";
const GREEDY = { temperature: 0 };

test("answers that run ahead together give way to one another where the cache has no room for all", async () => {
  // Twelve pages of eight positions for three of seven.
  const { engine, model } = answering(REPLY, { contextLength: 64, pages: 12 });
  const ahead = runAheadOf(model);
  const questions = ["one", "two", "six"].map((question) => [user(question)]);
  const results = await Promise.all(questions.map((asked) => engine.chat(asked, GREEDY).complete()));
  expect(results.map(({ text }) => text)).toEqual([REPLY, REPLY, REPLY]);
  expect(ahead.passes).toBeGreaterThan(20);
});
