import { INDEX, UNFINISHED_INDEX } from "../checkpoint/source.ts";
import { StorageError } from "../errors.ts";
import { type CheckOptions, type Conversion, isIntact, readEarlier, VERSION } from "./earlier.ts";
import type { FinishedShard } from "./journal-file.ts";
import { type FileSum, indexJson } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";
import type { PlannedShard } from "./plan.ts";

/**
 * What of a conversion is done, kept in its folder in the index's place: one that was stopped at any moment goes on
 * from here.
 */
export class Journal {
  readonly shards = new Map<string, FinishedShard>();
  /** Sums of the source files that were read whole. */
  readonly sources = new Map<string, FileSum>();
  /** Shards of an earlier run whose files are gone or damaged: made again, they must become what they were. */
  private readonly lost = new Map<string, FinishedShard>();
  private readonly folder: OutputFolder;
  private readonly conversion: Conversion;

  private constructor(folder: OutputFolder, conversion: Conversion) {
    this.folder = folder;
    this.conversion = conversion;
  }

  /**
   * Begins a conversion in a new or empty folder, goes on with it, or repairs its result. Nothing that an earlier run
   * wrote is taken over before its bytes have the sum that they were written with.
   * @returns undefined when the folder holds its finished result, whole.
   * @throws StorageError when the folder holds anything else, or its disk has not enough room.
   */
  static async open(
    folder: OutputFolder,
    conversion: Conversion,
    plan: readonly PlannedShard[],
    options: CheckOptions,
  ): Promise<Journal | undefined> {
    await folder.make();
    const { finished, shards, files, sources } = await readEarlier(folder, conversion, plan);
    await folder.removePartials();
    const journal = new Journal(folder, conversion);
    await journal.takeOver(shards, options);
    let whole = finished && journal.lost.size === 0;
    for (const file of files) whole &&= await isIntact(folder, file, options.createSha256);
    if (whole) {
      await folder.remove(UNFINISHED_INDEX);
      return undefined;
    }
    for (const sum of sources) journal.sources.set(sum.name, sum);
    const missing = plan.filter(({ file }) => !journal.shards.has(file));
    await folder.expectRoom(missing.reduce((sum, { size }) => sum + size, 0));
    await journal.save();
    if (finished) {
      await folder.remove(INDEX);
      await folder.sync();
    }
    return journal;
  }

  /** @throws StorageError when it is not what it was before it was lost. */
  add(shard: FinishedShard): void {
    const { name, sha256 } = shard.sum;
    const before = this.lost.get(name);
    if (before && before.sum.sha256 !== sha256) {
      throw new StorageError(
        `${name} was damaged, and made again it has the SHA-256 ${sha256} in place of ${before.sum.sha256}: the sources, ` +
          `the adapter or ziya are others than before, so ${this.folder.anew}.`,
      );
    }
    this.shards.set(name, shard);
    this.lost.delete(name);
  }

  /** Notes down what came since; whatever stops the process, the folder holds the old or the new journal. */
  async save(): Promise<void> {
    const { weights, shardBytes, sources } = this.conversion;
    const text = JSON.stringify({
      conversion: VERSION,
      weights,
      shard_bytes: shardBytes,
      sources,
      shards: Object.fromEntries([...this.shards, ...this.lost]),
      sums: Object.fromEntries(this.sources),
    });
    await this.folder.replace(UNFINISHED_INDEX, text);
  }

  /**
   * Makes the folder a checkpoint: the index comes last, when all else is on the disk.
   * @param files the sums of what was copied beside the shards
   */
  async finish(plan: readonly PlannedShard[], files: readonly FileSum[]): Promise<void> {
    const sums = {
      shards: plan.map(({ file }) => this.shards.get(file)!.sum),
      files,
      sources: this.conversion.sources.map(({ name }) => this.sources.get(name)!),
    };
    await this.folder.sync();
    await this.folder.replace(INDEX, indexJson(this.conversion.weights, plan, sums));
    await this.folder.remove(UNFINISHED_INDEX);
  }

  /** Of a result's 7 GB, that takes some seconds; a damaged shard that stays is never found by who made it. */
  private async takeOver(
    shards: readonly FinishedShard[],
    { createSha256, signal, onCheck }: CheckOptions,
  ): Promise<void> {
    const total = shards.reduce((sum, { sum: { size } }) => sum + size, 0);
    let done = 0;
    for (const shard of shards) {
      const intact = await isIntact(this.folder, shard.sum, createSha256, (bytes) => {
        signal?.throwIfAborted();
        done += bytes;
        onCheck?.(done, total);
      });
      (intact ? this.shards : this.lost).set(shard.sum.name, shard);
    }
  }
}
