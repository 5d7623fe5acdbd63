import { type ByteSource, bytesSource } from "../../src/checkpoint/source.ts";
import { hashStored } from "./hash.ts";
import type { Meter } from "./meter.ts";
import { storedFile } from "./small.ts";
import type { FileState } from "./state.ts";
import type { Writer } from "./writer.ts";

/** Holds all files that are done to their SHA-256 again. Those that are wrong are removed, and not done any more. */
export async function verifyFiles(
  { folder, files, keeper }: Writer,
  meter: Meter,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { state } = keeper;
  const claimed = state.files.filter(({ done }) => done);
  meter.total = claimed.reduce((sum, { size = 0 }) => sum + size, 0);
  const wrong = new Set<FileState>();
  for (const file of claimed) {
    const source: ByteSource =
      (await storedFile(folder, file.name)) ?? bytesSource(file.name, new Uint8Array());
    const found = await hashStored(source, signal, (bytes) => meter.add(bytes, file.name));
    if (found.sha256 !== file.sha256 || found.size !== file.size) wrong.add(file);
  }
  meter.report();
  if (wrong.size === 0) return;
  const kept = state.files.map((file) => (wrong.has(file) ? { ...file, done: false } : file));
  await keeper.change({ whole: false, files: kept });
  for (const { name } of wrong) await files.remove(name);
}
