import type { FileState, ModelFolder } from "./state.ts";

/** What is used of `navigator.crossOriginStorage`, a proposal to the WICG: files by their SHA-256, whoever's they were. */
interface CrossOriginStorage {
  requestFileHandle(
    hash: { readonly algorithm: "SHA-256"; readonly value: string },
    options?: { readonly create: true; readonly origins: "*" },
  ): Promise<Pick<FileSystemFileHandle, "getFile" | "createWritable">>;
}

function crossOriginStorage(): CrossOriginStorage | undefined {
  return (navigator as { crossOriginStorage?: CrossOriginStorage }).crossOriginStorage;
}

/** The file of a SHA-256 that some site has left, or undefined: then it is fetched, whatever the reason was. */
export async function findShared(sha256: string, size: number): Promise<Blob | undefined> {
  try {
    const handle = await crossOriginStorage()?.requestFileHandle({ algorithm: "SHA-256", value: sha256 });
    const file = await handle?.getFile();
    return file?.size === size ? file : undefined;
  } catch {
    return undefined;
  }
}

/** Leaves a file that is right for other sites. That it is refused is no loss to this one. */
export async function shareFile({ files }: ModelFolder, { name, sha256 }: FileState): Promise<void> {
  if (!sha256 || !crossOriginStorage()) return;
  try {
    const handle = await crossOriginStorage()?.requestFileHandle(
      { algorithm: "SHA-256", value: sha256 },
      { create: true, origins: "*" },
    );
    const writable = await handle?.createWritable();
    if (!writable) return;
    await writable.write(await (await files.getFileHandle(name)).getFile());
    await writable.close();
  } catch {
    // As where there is none.
  }
}
