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

/** The bytes of a file of which the SHA-256 is known, where some site has left it. If not, it is fetched, whatever the reason was. */
export async function* sharedChunks(
  sha256: string,
  size: number,
): AsyncGenerator<{ readonly at: number; readonly chunk: Uint8Array }, void> {
  const reader = (await findShared(sha256, size))?.stream().getReader();
  for (let at = 0, next = await reader?.read(); next?.value; next = await reader?.read()) {
    yield { at, chunk: next.value };
    at += next.value.length;
  }
}

async function findShared(sha256: string, size: number): Promise<Blob | undefined> {
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
