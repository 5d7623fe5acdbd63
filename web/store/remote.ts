import { absolute, contentRange, forbidden, missingBy, sizeOf } from "../../src/checkpoint/http.ts";
import { discard, type Fetch, request, unexpected } from "../../src/checkpoint/http-body.ts";
import { PassingError, retried } from "../../src/checkpoint/retry.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { RemoteModel } from "../api.ts";
import type { Version } from "./pieces.ts";
import {
  aboutFile,
  chunksOf,
  expectFound,
  expectWhole,
  gather,
  type RangeResponse,
  type Sent,
  sumIn,
  versionIn,
} from "./response.ts";
import { whenOnline } from "./retry.ts";
import { withoutWithheld } from "./withheld.ts";

export interface RemoteOptions {
  /** Default: the worker's own. */
  readonly fetch?: Fetch;
  /** Milliseconds without a byte after which a request is made again. Default 20 s. */
  readonly stallMs?: number;
}

/** What a server tells of a file. */
interface RemoteFile {
  readonly size: number;
  readonly version: Version | undefined;
  /** As a hub's ETag has it. */
  readonly sha256: string | undefined;
}

/** Least bytes that are asked for: some servers take "bytes=0-0" for the whole file. */
const PROBE_BYTES = 2;
const STALL_MS = 20_000;

/** A server that does ranges wrong: the file has to come as a whole. */
export class WrongRangeError extends CheckpointError {}

/** A checkpoint folder on a server. Nothing of it goes through the browser's HTTP cache, which would hold it twice. */
export class Remote {
  readonly url: string;
  /** Files that are taken for missing, of which the server does not let a page see whether they are. */
  readonly withheld = new Set<string>();
  readonly #base: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: Fetch;
  readonly #stallMs: number;
  /**
   * Whether If-Range is sent. Another origin has to allow it, which few do: where the first request with it fails and the
   * same one without it does not, it is left out.
   */
  #conditional: "untried" | "works" | "refused" = "untried";
  /** Whether the server has answered before: one that never did is rather misspelt than away. */
  #answered = false;

  constructor(model: RemoteModel, options: RemoteOptions = {}) {
    const { fetch = (url, init) => globalThis.fetch(url, init), stallMs = STALL_MS } = options;
    this.#base = absolute(model.url);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.url = this.#base.href;
    this.#headers = model.headers ?? {};
    this.#fetch = withoutWithheld(this.#base, fetch, (name) => this.withheld.add(name));
    this.#stallMs = stallMs;
  }

  address(name: string): string {
    const url = new URL(this.#base);
    url.pathname += encodeURIComponent(name);
    return url.href;
  }

  /** A small file as a whole, by one request; undefined where there is none. */
  get(name: string, signal: AbortSignal): Promise<(RemoteFile & { bytes: Uint8Array }) | undefined> {
    const url = this.address(name);
    return this.#retried(signal, async () => {
      const sent = await this.#send(url, {}, signal);
      if (await this.#isMissing(url, sent)) return undefined;
      const { response, chunks } = await expectWhole(url, sent);
      const bytes = await gather(url, chunks);
      return { size: bytes.length, version: versionIn(response), sha256: sumIn(response), bytes };
    });
  }

  /** What the server tells of a file; undefined where there is none. */
  probe(name: string, signal: AbortSignal): Promise<RemoteFile | undefined> {
    const url = this.address(name);
    return this.#retried(signal, async () => {
      const sent = await this.#send(url, rangeHeader(0, PROBE_BYTES), signal);
      if (await this.#isMissing(url, sent)) return undefined;
      const { response } = sent;
      const size = await this.#sizeOf(url, response, signal);
      await sent.discard();
      return { size, version: versionIn(response), sha256: sumIn(response) };
    });
  }

  /**
   * Bytes [first, end) of a file, or all of it: then whoever asked has to take what it needs. Tried once; what may pass is a
   * PassingError, and whatever arrived before it counts.
   * @throws WrongRangeError for an answer to another range than was asked for.
   */
  async range(
    name: string,
    first: number,
    end: number,
    version: Version | undefined,
    signal: AbortSignal,
  ): Promise<RangeResponse> {
    const url = this.address(name);
    const headers = rangeHeader(first, end - first);
    const condition = this.#conditional === "refused" ? undefined : version?.validator;
    const sent = condition
      ? await this.#sendConditional(url, headers, condition, signal)
      : await this.#send(url, headers, signal);
    await expectFound(url, sent);
    const { response } = sent;
    const about = aboutFile(sent);
    if (response.status === 200) return { ...about, size: undefined, whole: true };
    // The file has become shorter.
    if (response.status === 416)
      return { ...about, version: { name: "shorter" }, size: undefined, whole: true };
    if (response.status !== 206) {
      await sent.discard();
      throw new CheckpointError(unexpected(url, response));
    }
    const range = await contentRange(url, response).catch(async (cause: Error) => {
      await sent.discard();
      throw new WrongRangeError(cause.message, { cause });
    });
    if (range && (range.first !== first || range.last !== end - 1)) {
      await sent.discard();
      throw new WrongRangeError(
        `${url} was asked for bytes ${first} to ${end - 1} and answered with ${range.first} to ${range.last}: the server ` +
          `or a proxy does ranges wrong, so serve the file from elsewhere.`,
      );
    }
    return { ...about, size: range?.size, whole: false };
  }

  /** All of a file, of a server that does no ranges. Tried once. */
  async whole(name: string, signal: AbortSignal): Promise<RangeResponse> {
    const url = this.address(name);
    const sent = await this.#send(url, {}, signal);
    await expectFound(url, sent);
    return { ...aboutFile(await expectWhole(url, sent)), size: undefined, whole: true };
  }

  #retried<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return retried(work, this.#answered, signal);
  }

  async #sendConditional(
    url: string,
    headers: Record<string, string>,
    condition: string,
    signal: AbortSignal,
  ): Promise<Sent> {
    try {
      const sent = await this.#send(url, { ...headers, "if-range": condition }, signal);
      this.#conditional = "works";
      return sent;
    } catch (error) {
      if (this.#conditional === "works" || !(error instanceof PassingError) || error.answered) throw error;
      const sent = await this.#send(url, headers, signal);
      this.#conditional = "refused";
      return sent;
    }
  }

  /** A request whose body, too, may not stop coming for longer than `stallMs`. */
  async #send(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Sent> {
    const stop = new AbortController();
    const abort = () => stop.abort(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener("abort", abort);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const beat = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const seconds = this.#stallMs / 1000;
        stop.abort(new PassingError(`${url} has sent nothing for ${seconds} s: check the connection.`, true));
      }, this.#stallMs);
    };
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    };
    beat();
    try {
      const init = { headers: { ...this.#headers, ...headers }, cache: "no-store" as const };
      const response = await request(this.#fetch, url, init, stop.signal);
      this.#answered = true;
      return {
        response,
        chunks: chunksOf(url, response, stop.signal, beat, end),
        discard() {
          end();
          return discard(response);
        },
      };
    } catch (error) {
      end();
      // Where it has answered before, and the browser knows why it does not now, no try is lost on that.
      if (this.#answered && error instanceof PassingError && !error.answered) await whenOnline(signal);
      throw error;
    }
  }

  /** A whole file tells its size by its length, if it is not sent compressed; a range, by Content-Range. */
  async #sizeOf(url: string, response: Response, signal: AbortSignal): Promise<number> {
    const { status, headers } = response;
    const length = Number(headers.get("content-length") ?? Number.NaN);
    if (status === 200 && !headers.has("content-encoding") && Number.isSafeInteger(length)) return length;
    const fetch: Fetch = (url, init) => this.#fetch(url, { ...init, headers: this.#headers });
    return sizeOf(fetch, url, response, signal);
  }

  /** By 403 as well, as storage that may not be listed says it; but a checkpoint whose config.json is refused gives nothing. */
  async #isMissing(url: string, { response, discard }: Sent): Promise<boolean> {
    const missing = missingBy(response);
    if (missing) await discard();
    if (missing?.forbidden && url === this.address("config.json")) throw forbidden(url);
    return missing !== undefined;
  }
}

function rangeHeader(first: number, length: number): Record<string, string> {
  return { range: `bytes=${first}-${first + length - 1}` };
}
