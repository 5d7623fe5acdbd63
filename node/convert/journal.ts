import { mkdir, readdir, readFile, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { isObject, parseObject } from "../../src/checkpoint/json.ts";
import { type FileSum, INDEX, indexJson, UNFINISHED_INDEX } from "../../src/checkpoint/manifest.ts";
import { isPackedFormat } from "../../src/checkpoint/packed.ts";
import type { PlannedShard, WrittenFormat } from "../../src/checkpoint/plan.ts";
import { StorageError } from "../../src/errors.ts";
import type { QuantisationError } from "../../src/quantize/report.ts";
import { describeFile, type SourceFile } from "./inputs.ts";
import { removePartials, replaceFile, syncFolder } from "./output.ts";

/** Written into the journal; another number is another layout of it. */
const VERSION = 1;

/** What decides every byte of the result. */
export interface Conversion {
  readonly weights: WrittenFormat;
  readonly shardBytes: number;
  readonly sources: readonly SourceFile[];
}

/** By tensor name, what packing did to the matrices of a shard. */
export type Errors = Readonly<Record<string, QuantisationError>>;

export interface FinishedShard {
  readonly sum: FileSum;
  readonly errors: Errors;
}

/**
 * What of a conversion is done, kept in its folder in the index's place: one that was stopped at any moment goes on
 * from here.
 */
export class Journal {
  readonly shards: Map<string, FinishedShard>;
  /** Sums of the source files that were read whole. */
  readonly sources: Map<string, FileSum>;
  private readonly folder: string;
  private readonly conversion: Conversion;

  private constructor(folder: string, conversion: Conversion, found: Record<string, unknown> = {}) {
    this.folder = folder;
    this.conversion = conversion;
    this.shards = new Map(entries(found.shards) as [string, FinishedShard][]);
    this.sources = new Map(entries(found.sums) as [string, FileSum][]);
  }

  /**
   * Begins a conversion in a new or empty folder, or goes on with it.
   * @returns undefined when the folder holds its finished result.
   * @throws StorageError when the folder holds anything else, or its disk has not enough room.
   */
  static async open(
    folder: string,
    conversion: Conversion,
    plan: readonly PlannedShard[],
  ): Promise<Journal | undefined> {
    await mkdir(folder, { recursive: true });
    const journal = await Journal.find(folder, conversion, plan);
    if (!journal) return undefined;
    await removePartials(folder);
    // A shard whose file is not there, or was cut, is written again.
    for (const [name, { sum }] of journal.shards) {
      const planned = plan.find(({ file }) => file === name);
      const found = await stat(join(folder, name)).catch(() => undefined);
      if (planned?.size !== sum.size || found?.size !== sum.size) journal.shards.delete(name);
    }
    await journal.expectRoom(plan);
    await journal.save();
    return journal;
  }

  private static async find(
    folder: string,
    conversion: Conversion,
    plan: readonly PlannedShard[],
  ): Promise<Journal | undefined> {
    const names = await readdir(folder);
    if (names.includes(INDEX)) {
      await expectResult(folder, conversion, plan);
      await rm(join(folder, UNFINISHED_INDEX), { force: true });
      return undefined;
    }
    if (names.includes(UNFINISHED_INDEX)) {
      const path = join(folder, UNFINISHED_INDEX);
      const found = parseObject(await readFile(path, "utf8"), path);
      expectSame(folder, found, conversion);
      return new Journal(folder, conversion, found);
    }
    const [stranger] = names.filter((name) => !name.endsWith(".partial"));
    if (stranger !== undefined) {
      throw new StorageError(
        `${folder} holds ${stranger} and no conversion that was begun: choose a new or empty folder with --out.`,
      );
    }
    return new Journal(folder, conversion);
  }

  /** Notes down what came since; whatever stops the process, the folder holds the old or the new journal. */
  async save(): Promise<void> {
    const { weights, shardBytes, sources } = this.conversion;
    const text = JSON.stringify({
      conversion: VERSION,
      weights,
      shard_bytes: shardBytes,
      sources,
      shards: Object.fromEntries(this.shards),
      sums: Object.fromEntries(this.sources),
    });
    await replaceFile(join(this.folder, UNFINISHED_INDEX), text);
  }

  /** Makes the folder a checkpoint: the index comes last, when all else is on the disk. */
  async finish(plan: readonly PlannedShard[]): Promise<void> {
    const { weights, sources } = this.conversion;
    const shards = plan.map(({ file }) => this.shards.get(file)!.sum);
    const sums = sources.map(({ name }) => this.sources.get(name)!);
    await syncFolder(this.folder);
    await replaceFile(join(this.folder, INDEX), indexJson(weights, plan, shards, sums));
    await rm(join(this.folder, UNFINISHED_INDEX), { force: true });
  }

  private async expectRoom(plan: readonly PlannedShard[]): Promise<void> {
    const need = plan.reduce((sum, { file, size }) => sum + (this.shards.has(file) ? 0 : size), 0);
    const { bavail, bsize } = await statfs(this.folder);
    if (need <= bavail * bsize) return;
    throw new StorageError(
      `The conversion needs ${gigabytes(need)} in ${this.folder}, and its disk has ${gigabytes(bavail * bsize)} left: ` +
        `free some space, or choose another folder with --out.`,
    );
  }
}

function entries(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : [];
}

/** @throws StorageError telling the first thing in which the journal is of another conversion. */
function expectSame(folder: string, found: Record<string, unknown>, wanted: Conversion): void {
  const refuse = (what: string): never => {
    throw new StorageError(
      `${folder} holds a conversion that was begun differently: ${what}. Run the command it was begun with, empty the ` +
        `folder, or choose another one with --out.`,
    );
  };
  if (found.conversion !== VERSION) refuse(`by another version of ziya`);
  if (found.weights !== wanted.weights) refuse(`as ${found.weights}, and now as ${wanted.weights}`);
  if (found.shard_bytes !== wanted.shardBytes) {
    refuse(`with shards of ${found.shard_bytes} bytes, and now of ${wanted.shardBytes}`);
  }
  const before = new Map((found.sources as SourceFile[]).map((file) => [file.name, file]));
  for (const file of wanted.sources) {
    const old = before.get(file.name);
    if (!old) refuse(`without ${file.name}`);
    else if (describeFile(old) !== describeFile(file)) {
      refuse(`${file.name} had ${describeFile(old)}, and has ${describeFile(file)} now`);
    }
    before.delete(file.name);
  }
  for (const name of before.keys()) refuse(`with ${name}, which is not there now`);
}

/** @throws StorageError when the finished checkpoint in the folder is not what this conversion would give. */
async function expectResult(
  folder: string,
  { weights, sources }: Conversion,
  plan: readonly PlannedShard[],
): Promise<void> {
  const path = join(folder, INDEX);
  const { metadata } = parseObject(await readFile(path, "utf8"), path);
  const found = isObject(metadata) ? metadata : {};
  const sameFormat = found.weights === (isPackedFormat(weights) ? weights : undefined);
  const shards = plan.map(({ file, size }) => ({ name: file, size }));
  if (sameFormat && sameSizes(found.shards, shards) && sameSizes(found.sources, sources)) return;
  throw new StorageError(
    `${folder} holds a finished checkpoint of another conversion or another program: choose a new or empty folder ` +
      `with --out.`,
  );
}

function sameSizes(sums: unknown, wanted: readonly { name: string; size: number }[]): boolean {
  const line = ({ name, size }: { name: string; size: number }) => `${name} ${size}`;
  return Array.isArray(sums) && String((sums as FileSum[]).map(line)) === String(wanted.map(line));
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}
