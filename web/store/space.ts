import { StorageError } from "../../src/errors.ts";
import { showBytes } from "../../src/show.ts";
import type { StorageSpace, StoredModel } from "../api.ts";

/** Room that the browser needs beside the bytes themselves: for names, sidecars and its own accounts. */
const MARGIN_BYTES = 1024 * 1024;

/** Room for models, as far as the browser tells. */
export async function storageSpace(): Promise<StorageSpace> {
  const { storage } = navigator;
  if (!storage?.estimate) return { used: 0, free: 0, persisted: false };
  const { usage = 0, quota = 0 } = await storage.estimate();
  return { used: usage, free: Math.max(0, quota - usage), persisted: (await storage.persisted?.()) ?? false };
}

/**
 * Before anything of it is written.
 * @param others the stored models, some of which could go
 * @throws StorageError where there is less room than it needs.
 */
export async function expectRoom(
  model: string,
  bytes: number,
  others: () => Promise<readonly StoredModel[]>,
): Promise<void> {
  const { free } = await storageSpace();
  if (bytes + MARGIN_BYTES > free) throw await noRoom(model, bytes + MARGIN_BYTES, others);
}

/** The error of a model that has no room: need, have, and what could go. */
export async function noRoom(
  model: string,
  need: number | undefined,
  others: () => Promise<readonly StoredModel[]>,
  cause?: unknown,
): Promise<StorageError> {
  const { free } = await storageSpace();
  const room = { free, ...(need !== undefined && { need }) };
  return new StorageError(describeNoRoom(model, need, free, await others()), { cause, room });
}

export function describeNoRoom(
  model: string,
  need: number | undefined,
  free: number,
  stored: readonly StoredModel[],
): string {
  const others = stored.filter(({ name, done }) => name !== model && done > 0);
  const listed = others.map(({ name, done }) => `${name} (${showBytes(done)})`).join(", ");
  const advice = listed ? `Delete a model that you can do without: ${listed}` : "Free some disk space";
  const wanted = need === undefined ? "more room" : `${showBytes(need)} more`;
  // Browsers keep from pages how full the disk is, and count as free what is not.
  const have =
    need === undefined || need <= free
      ? `the browser has no room for it, although it counts ${showBytes(free)} as free`
      : `the browser's storage has ${showBytes(free)} free`;
  return `${model} needs ${wanted}, and ${have}. ${advice}, and begin again: what is there is kept.`;
}
