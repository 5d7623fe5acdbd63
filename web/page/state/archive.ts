import { Signal } from "../ui/signal.ts";
import { entitle, newId, type Talk } from "./talk.ts";

const STORE = "conversations";

/** What the list shows of a conversation. */
export type TalkEntry = Pick<Talk, "id" | "title" | "changed" | "version">;

/** The conversations in the browser's storage. Another tab's changes show in the list. */
export class Archive {
  /** The latest first. */
  readonly list = new Signal<readonly TalkEntry[]>([]);
  private readonly database: IDBDatabase | undefined;
  /** Where the browser keeps nothing, such as in some private windows: until the tab is closed. */
  private readonly memory = new Map<string, Talk>();
  private readonly others = new BroadcastChannel("ziya-conversations");

  private constructor(database: IDBDatabase | undefined) {
    this.database = database;
    this.others.addEventListener("message", () => void this.refresh());
  }

  static async open(): Promise<Archive> {
    const archive = new Archive(await openDatabase().catch(() => undefined));
    await archive.refresh();
    return archive;
  }

  /** Whether what is said is there the next time. */
  get lasting(): boolean {
    return this.database !== undefined;
  }

  async get(id: string): Promise<Talk | undefined> {
    if (!this.database) return structuredClone(this.memory.get(id));
    return this.run<Talk | undefined>("readonly", (store) => store.get(id));
  }

  async all(): Promise<Talk[]> {
    if (!this.database) return structuredClone([...this.memory.values()]);
    return this.run<Talk[]>("readonly", (store) => store.getAll());
  }

  /** Conversations that nobody has, such as one that was deleted. */
  async add(talks: readonly Talk[]): Promise<void> {
    // What has a version and is not there was deleted: they all have one.
    const added = talks.map((talk) => ({ version: newId(), ...talk }));
    for (const talk of added) await this.change(talk.id, () => talk);
    this.tellOf(added);
  }

  /**
   * Writes down what is said in a conversation. Its title is what it was renamed to, in whichever tab. Nothing is written where
   * another tab has written since this one did or read it, or has deleted it.
   * @returns what has become of it.
   */
  async put(talk: Talk): Promise<"written" | "changed" | "deleted"> {
    let found: "changed" | "deleted" = "changed";
    const written = await this.change(talk.id, (there) => {
      if (!there && talk.version !== undefined) found = "deleted";
      if (there?.version !== talk.version) return undefined;
      const { named, title } = there ?? talk;
      return { ...entitle(talk, named ? title : ""), version: newId() };
    });
    if (!written) return found;
    const { named, title, version } = written;
    Object.assign(talk, { named, title, version });
    this.tellOf([talk]);
    return "written";
  }

  /** An empty title is that of the first question again. */
  async rename(id: string, title: string): Promise<void> {
    const renamed = await this.change(id, (there) => there && entitle(there, title.trim()));
    if (renamed) this.tellOf([renamed]);
  }

  async delete(id: string): Promise<void> {
    if (this.database) await this.run("readwrite", (store) => store.delete(id));
    else this.memory.delete(id);
    this.tell(this.list.value.filter((entry) => entry.id !== id));
  }

  private tellOf(talks: readonly Talk[]): void {
    const ids = new Set(talks.map(({ id }) => id));
    this.tell([...talks, ...this.list.value.filter(({ id }) => !ids.has(id))]);
  }

  /** Shows what has changed here, without reading what is known, and has other tabs read it. */
  private tell(entries: readonly TalkEntry[]): void {
    this.others.postMessage("changed");
    this.listEntries(entries);
  }

  private async refresh(): Promise<void> {
    this.listEntries(await this.all());
  }

  private listEntries(entries: readonly TalkEntry[]): void {
    this.list.value = entries
      .map(({ id, title, changed, version }) => ({ id, title, changed, ...(version && { version }) }))
      .sort((a, b) => b.changed - a.changed);
  }

  /**
   * Writes what `next` makes of what there is; no other tab writes between the two.
   * @returns What was written.
   */
  private async change(
    id: string,
    next: (there: Talk | undefined) => Talk | undefined,
  ): Promise<Talk | undefined> {
    let talk: Talk | undefined;
    if (!this.database) {
      talk = next(this.memory.get(id));
      if (talk) this.memory.set(id, structuredClone(talk));
      return talk;
    }
    await this.run("readwrite", (store) => {
      const asked: IDBRequest<Talk | undefined> = store.get(id);
      asked.onsuccess = () => {
        talk = next(asked.result);
        if (talk) store.put(talk);
      };
      return asked;
    });
    return talk;
  }

  private run<Result>(
    mode: IDBTransactionMode,
    request: (store: IDBObjectStore) => IDBRequest,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const transaction = this.database!.transaction(STORE, mode);
      const asked = request(transaction.objectStore(STORE));
      // Written is written when the transaction is over; a full disk ends it after the request went well.
      transaction.oncomplete = () => resolve(asked.result as Result);
      transaction.onabort = () => reject(transaction.error ?? asked.error);
    });
  }
}

function openDatabase(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("ziya-page", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => {
      // A later version of the page in another tab may change the database: this tab then lets go of it.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
}
