/** A folder from the person's disk, with the files that lie in it. */
export interface Folder {
  readonly name: string;
  readonly files: readonly File[];
}

/** More files than any checkpoint has: a disk dropped by mistake ends here. */
const MOST_FILES = 2000;

/** The folders of a drop, those inside others too; files that were dropped by themselves are one without a name. */
export async function foldersOfDrop(transfer: DataTransfer): Promise<Folder[]> {
  // The entries are gone when the event is over: they are taken before anything is awaited.
  const entries = [...transfer.items]
    .map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null);
  const folders = new Map<string, File[]>();
  let count = 0;
  const walk = async (entry: FileSystemEntry, folder: string): Promise<void> => {
    if (++count > MOST_FILES) return;
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) =>
        (entry as FileSystemFileEntry).file(resolve, reject),
      );
      folders.set(folder, [...(folders.get(folder) ?? []), file]);
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      // A browser gives a hundred at a time, and nothing at the end.
      const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
        reader.readEntries(resolve, reject),
      );
      if (some.length === 0) return;
      for (const inner of some) await walk(inner, entry.fullPath);
    }
  };
  for (const entry of entries) await walk(entry, "");
  return [...folders].map(([path, files]) => ({ name: lastOf(path), files }));
}

/** The folders of what was chosen in a file dialog. */
export function foldersOfFiles(files: Iterable<File>): Folder[] {
  const folders = new Map<string, File[]>();
  for (const file of files) {
    const path = file.webkitRelativePath.split("/").slice(0, -1).join("/");
    folders.set(path, [...(folders.get(path) ?? []), file]);
  }
  return [...folders].map(([path, files]) => ({ name: lastOf(path), files }));
}

const lastOf = (path: string) => path.split("/").at(-1) ?? "";

/** Whether weights lie in it, in one of the formats that are read. */
export function isCheckpoint({ files }: Folder): boolean {
  const names = files.map(({ name }) => name);
  return names.includes("config.json") && names.some((name) => /\.(safetensors|bin)$/.test(name));
}

/** Whether a folder is more likely a difference to a base than a checkpoint of its own. */
export function looksLikeDelta({ name, files }: Folder): boolean {
  return /delta|ziya/i.test(name) || files.some((file) => /delta/i.test(file.name));
}

export function bytesOf({ files }: Folder): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}
