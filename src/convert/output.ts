import type { ByteSource } from "../checkpoint/source.ts";

/** A file that appears under its name when it is complete, and not before. */
export interface PendingFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Brings it to the disk and gives it its name. */
  finish(): Promise<void>;
  /** Removes what was written, after a failure. */
  discard(): Promise<void>;
}

/** Writes a file as a whole: what fails leaves nothing of it. */
export async function writeAll(
  file: PendingFile,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  try {
    for await (const bytes of pieces) await file.write(bytes);
    await file.finish();
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** The folder that a conversion writes to, by plain names. What cannot be done is a StorageError that tells the path. */
export interface OutputFolder {
  /** For messages, as the words below are. */
  readonly name: string;
  /** How another is chosen: "choose a new or empty folder with --out". */
  readonly elsewhere: string;
  /** How one that is of no use is begun again: "empty the folder and begin again". */
  readonly anew: string;
  path(name: string): string;
  /** Makes it, where it is not there yet. */
  make(): Promise<void>;
  /** Whole files, and under names that end in ".partial" others. */
  list(): Promise<string[]>;
  /** @throws CheckpointError for what is there and no file. */
  open(name: string): Promise<ByteSource | undefined>;
  create(name: string): Promise<PendingFile>;
  /** A small file at once, in place of what had its name. */
  replace(name: string, contents: string | Uint8Array): Promise<void>;
  /** There is none of the name afterwards. */
  remove(name: string): Promise<void>;
  /** Removes what conversions that are not at work any more left half written. */
  removePartials(): Promise<void>;
  /** Brings names to the disk, where the host can. */
  sync(): Promise<void>;
  /** @throws StorageError, with need and have, unless it can hold so many bytes more. */
  expectRoom(bytes: number): Promise<void>;
}
