import type {
  AnswerStream,
  BenchmarkOptions,
  BenchmarkReport,
  Conversation,
  EngineOptions,
  GenerationDefaults,
  GenerationOptions,
  Message,
} from "../src/index.ts";

export type { BenchmarkOptions, BenchmarkReport } from "../src/index.ts";

/** Files of a checkpoint folder on the person's disk: of an `<input>`, of a drop, or a folder's handle. */
export type FolderFiles = readonly File[] | FileSystemDirectoryHandle;

/** A checkpoint folder elsewhere: any static host, or a hub's `resolve` path. */
export interface RemoteModel {
  /** Absolute, or relative to the page. */
  readonly url: string | URL;
  /** What it is called in the browser's storage. Default: the last part of its path. */
  readonly name?: string;
  /** Sent with each request, such as a hub's `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Where a model comes from. One with a URL is kept in the browser's storage as it comes, and found there the next time. */
export type ModelSource =
  | string
  | URL
  | RemoteModel
  /** One that is in the browser's storage, by its name: `Models.list()` has them. */
  | { readonly stored: string }
  /** Files that are read where they lie. */
  | { readonly files: FolderFiles };

/** How far bytes have come that are fetched, copied, checked or converted. */
export interface TransferProgress {
  readonly phase: "download" | "copy" | "check" | "calibrate" | "convert" | "compile" | "load";
  /** In bytes, those of earlier visits included; of "load" in weights. "compile", which nobody can tell how far it is, has 0 of 0. */
  readonly done: number;
  readonly total: number;
  /** Bytes per second of late; null until that is known. */
  readonly rate: number | null;
  /** Seconds; null until that is known. */
  readonly left: number | null;
  /** The file that is at work. */
  readonly file?: string;
}

export interface TransferOptions {
  /** Aborted, it stops; what is there is kept, and the next call goes on with it. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TransferProgress) => void;
}

/** A model in the browser's storage. */
export interface StoredModel {
  readonly name: string;
  /** Whether every byte of it is there and has been held to its SHA-256. Only such a model can be loaded. */
  readonly whole: boolean;
  /** Bytes there, and in all; 0 where the files' sizes are not known yet. */
  readonly done: number;
  readonly total: number;
  /** Where it comes from; undefined for one from the disk, or one that was converted. */
  readonly url?: string;
  /** How its weights are stored, where it is known. */
  readonly weights?: string;
  /**
   * Optional files that are taken for missing because their server, which gave the others, let no page of another origin see
   * its answer (no CORS headers on a 404).
   */
  readonly withheld?: readonly string[];
  /** Milliseconds since 1970. */
  readonly changed: number;
}

/** Room for models, in bytes, as far as the browser tells. */
export interface StorageSpace {
  readonly used: number;
  readonly free: number;
  /** Whether the browser has promised not to remove it by itself. */
  readonly persisted: boolean;
}

/** What a model takes, known before it is fetched. */
export interface ModelNeeds {
  readonly name: string;
  /** Bytes of its files, and those of them that are there already. */
  readonly bytes: number;
  readonly present: number;
  readonly weights: string;
  /** In GPU memory, in bytes, at this context: weights, KV cache, activations. */
  readonly memory: MemoryNeeds;
  readonly context: number;
  readonly space: StorageSpace;
  /** Why it cannot be had or loaded here, with need and have, and what could be done; undefined where nothing speaks against it. */
  readonly obstacle?: string;
}

export interface MemoryNeeds {
  readonly weights: number;
  readonly cache: number;
  readonly activations: number;
  readonly total: number;
}

/** What is converted: a checkpoint, or a delta and its base, as `ziya convert` takes them. */
export interface ConversionSource {
  readonly model?: FolderFiles;
  readonly base?: FolderFiles;
  readonly delta?: FolderFiles;
}

export interface ConversionOptions extends TransferOptions {
  /** "q4" or "q8"; default "q4". */
  readonly weights?: string;
  /** A text by which the importance of weights is found. */
  readonly calibration?: string | File;
  /** Workers that pack at a time. Default: by the processor's threads. */
  readonly workers?: number;
}

export interface InspectOptions {
  /** Tokens of one conversation. Default: what the model was made for. */
  readonly context?: number;
  /** "q4" or "q8": what is told is of the model as `convert` would pack it, of a delta or a model from the disk. */
  readonly pack?: string;
  readonly signal?: AbortSignal;
}

/** The models in the browser's storage. Each call is done by a worker; two tabs do not disturb each other. */
export interface Models {
  list(): Promise<StoredModel[]>;
  space(): Promise<StorageSpace>;
  /** Sizes and needs of a model that was not fetched: of its config, index and headers only. */
  inspect(source: ModelSource, options?: InspectOptions): Promise<ModelNeeds>;
  /** Fetches what is missing of it. */
  download(model: string | URL | RemoteModel, options?: TransferOptions): Promise<StoredModel>;
  /** Copies a packed checkpoint from the disk. */
  add(name: string, files: FolderFiles, options?: TransferOptions): Promise<StoredModel>;
  /** Merges and packs files from the disk: the same bytes as `ziya convert` makes. */
  convert(name: string, source: ConversionSource, options?: ConversionOptions): Promise<StoredModel>;
  /** Holds every byte to its SHA-256 again; files that are wrong are removed, so that a download fetches them again. */
  verify(name: string, options?: TransferOptions): Promise<StoredModel>;
  delete(name: string): Promise<void>;
  /** Ends the worker. */
  close(): void;
}

/** What an engine runs on and takes. */
export interface EngineInfo {
  /** Of the model. */
  readonly name: string;
  readonly adapter: BenchmarkReport["adapter"];
  /** The features of the adapter that are used. */
  readonly features: readonly string[];
  /** How a token is run, such as "i8 narrow". */
  readonly decoding: string;
  /** How a prompt is multiplied, such as "i8 tiles". */
  readonly prefilling: string;
  /** Kernels that it does without, because this browser or driver computed them wrong as it was loaded: which, and by how much. */
  readonly wrong: readonly string[];
  readonly memory: MemoryNeeds;
  readonly context: number;
  readonly defaults: GenerationDefaults;
}

/** The engine in a worker: what `Engine` does, answered from there. */
export interface WebEngine {
  readonly info: EngineInfo;
  chat(messages: readonly Message[], options?: GenerationOptions): AnswerStream;
  generate(prompt: string | readonly number[], options?: GenerationOptions): AnswerStream;
  conversation(messages?: readonly Message[]): Conversation;
  restore(saved: Blob): Promise<Conversation>;
  /** The prompt's ids, whose number is what of the context it takes. */
  encodeChat(messages: readonly Message[]): Promise<number[]>;
  encode(text: string): Promise<number[]>;
  decode(ids: readonly number[]): Promise<string>;
  /** Times the model's kernels on this adapter. */
  benchmark(options?: BenchmarkOptions): Promise<BenchmarkReport>;
  /** Releases the model, its device and the worker. */
  destroy(): void;
}

/** How a model is loaded into a page's worker: as `loadEngine` of the package has it. */
export interface WebOptions
  extends TransferOptions,
    Omit<EngineOptions, keyof TransferOptions | "onDeviceLost"> {
  /** Whether a model with a URL is kept in the browser's storage. Default true; else its server is asked each time. */
  readonly keep?: boolean;
  /** For pages whose policy allows no worker that the package would start: one that runs the package's `worker.js`. */
  readonly worker?: () => Worker;
  /**
   * Called when the GPU is lost, as `loadEngine` of the package calls it: answers under way go on by themselves once it is
   * opened again, and end with the error that `recovered` rejects with where it cannot be.
   */
  readonly onDeviceLost?: (error: Error, recovered: Promise<void>) => void;
}
