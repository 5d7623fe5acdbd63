import type {
  ConversionOptions,
  ConversionSource,
  FolderFiles,
  InspectOptions,
  ModelNeeds,
  ModelSource,
  Models,
  RemoteModel,
  StorageSpace,
  StoredModel,
  TransferOptions,
} from "../api.ts";
import { Link } from "./link.ts";
import { absolute, absoluteModel } from "./source.ts";
import { startWorker } from "./start.ts";

/** The models in the browser's storage, in the hands of a worker that starts with the first call. */
export function openModels({ worker }: { readonly worker?: () => Worker } = {}): Models {
  return new RemoteModels(async () => new Link(worker ? worker() : await startWorker()));
}

class RemoteModels implements Models {
  private readonly start: () => Promise<Link>;
  private started: Promise<Link> | undefined;

  constructor(start: () => Promise<Link>) {
    this.start = start;
  }

  async list(): Promise<StoredModel[]> {
    return (await this.link()).ask("list", []);
  }

  async space(): Promise<StorageSpace> {
    return (await this.link()).ask("space", []);
  }

  async inspect(source: ModelSource, { signal, ...as }: InspectOptions = {}): Promise<ModelNeeds> {
    return (await this.link()).ask("inspect", [absolute(source), as], { signal });
  }

  async download(model: string | URL | RemoteModel, options: TransferOptions = {}): Promise<StoredModel> {
    await askToPersist();
    return (await this.link()).ask("download", [absoluteModel(model)], watched(options));
  }

  async add(name: string, files: FolderFiles, options: TransferOptions = {}): Promise<StoredModel> {
    await askToPersist();
    return (await this.link()).ask("add", [name, files], watched(options));
  }

  async convert(
    name: string,
    source: ConversionSource,
    { signal, onProgress, ...plain }: ConversionOptions = {},
  ): Promise<StoredModel> {
    await askToPersist();
    return (await this.link()).ask("convert", [name, source, plain], watched({ signal, onProgress }));
  }

  async verify(name: string, options: TransferOptions = {}): Promise<StoredModel> {
    return (await this.link()).ask("verify", [name], watched(options));
  }

  async delete(name: string): Promise<void> {
    await (await this.link()).ask("delete", [name]);
  }

  close(): void {
    const closed = new DOMException("The models were closed.", "AbortError");
    this.started?.then((link) => link.end(closed)).catch(() => {});
  }

  private link(): Promise<Link> {
    this.started ??= this.start().catch((error: unknown) => {
      this.started = undefined;
      throw error;
    });
    return this.started;
  }
}

/** Asks the browser not to remove what is stored, which workers may not ask; a person may be asked in turn. */
async function askToPersist(): Promise<void> {
  const { storage } = navigator;
  if (!storage?.persist || (await storage.persisted())) return;
  // Whether it is granted changes nothing here: space().persisted tells.
  await storage.persist().catch(() => false);
}

function watched({
  signal,
  onProgress,
}: {
  signal?: AbortSignal | undefined;
  onProgress?: TransferOptions["onProgress"] | undefined;
}) {
  return { signal, onEvent: onProgress };
}
