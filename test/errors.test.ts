import { expect, test } from "vitest";
import { openSafetensors } from "../src/checkpoint/safetensors.ts";
import { bytesSource } from "../src/checkpoint/source.ts";
import * as errors from "../src/errors.ts";
import { failureOf, revive } from "../src/failure.ts";
import { safetensors } from "./checkpoint/bytes.ts";

/** What is shown of a message, with the words in the middle that tell of the rest. */
const MOST_CHARACTERS = 4100;

test("a message keeps its beginning and its end, whatever it quotes", () => {
  const { CheckpointError } = errors;
  for (const length of [0, 3998]) {
    const message = `a${"x".repeat(length)}b`;
    expect(new CheckpointError(message).message).toBe(message);
  }
  const { message } = new CheckpointError(`The file holds ${"x".repeat(1e6)}: fetch it again.`);
  expect(message.length).toBeLessThan(MOST_CHARACTERS);
  expect(message).toMatch(/^The file holds x+ \[…996032 characters more…\] x+: fetch it again\.$/);
});

test("and so does that of every class of errors", () => {
  const { ZiyaError, ...classes } = errors;
  expect(Object.keys(classes).length).toBeGreaterThan(9);
  for (const Class of Object.values(classes)) {
    expect(new Class("x".repeat(1e5)).message.length).toBeLessThan(MOST_CHARACTERS);
    expect(new Class("x")).toBeInstanceOf(ZiyaError);
  }
});

test("what a full disk lacks is told between threads", () => {
  const { StorageError } = errors;
  const told = (error: Error) => revive(structuredClone(failureOf(error)));
  const room = { need: 5, free: 3 };
  expect(told(new StorageError("It is full.", { room }))).toMatchObject({ message: "It is full.", room });
  expect(told(new StorageError("It is in use."))).not.toHaveProperty("room");
});

test("a hostile header cannot fill the screen", async () => {
  const name = "x".repeat(1e6);
  const tensor = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
  for (const file of [
    safetensors({ [name]: tensor }, 4),
    safetensors({ [name]: { ...tensor, dtype: "I8" } }, 4),
    safetensors({ __metadata__: { format: "ziya-webgpu", version: name, weights: name } }),
  ]) {
    const opened = openSafetensors(bytesSource("model.safetensors", file)).then((checkpoint) =>
      checkpoint.readRows(name.slice(1), 0, 1),
    );
    await expect(opened).rejects.toThrow(errors.CheckpointError);
    await expect(opened).rejects.toSatisfy(({ message }) => message.length < MOST_CHARACTERS);
  }
});
