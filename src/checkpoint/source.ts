/**
 * Bytes that can be read by range: a file, a `Blob`, an HTTP resource, memory. Everything that reads a
 * checkpoint goes through this, so that a tensor costs its own bytes only.
 */
export interface ByteSource {
  /** For messages: a file name or URL. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`; a short read is a `CheckpointError`, never a shorter array. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Opens a file of a checkpoint folder by name; `undefined` when there is no such file. */
export type OpenFile = (name: string) => Promise<ByteSource | undefined>;
