/** The part of a service worker's scope that is used: the page's types have none. */
interface WorkerScope {
  readonly caches: CacheStorage;
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: LifeEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: RequestEvent) => void): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

interface LifeEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface RequestEvent extends LifeEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

/** What the build puts in place of the names: the page's files, from its folder, and a checksum of them all. */
declare const PAGE_FILES: readonly string[];
declare const PAGE_VERSION: string;

const worker = self as unknown as WorkerScope;
const PREFIX = `ziya-page ${worker.registration.scope} `;
const CACHE = PREFIX + PAGE_VERSION;
const addresses = new Set(PAGE_FILES.map((file) => new URL(file, worker.registration.scope).href));

worker.addEventListener("install", (event) => {
  event.waitUntil(install());
});

/** All files or none: a version that is not whole never runs. What is not named by its content is asked for anew. */
async function install(): Promise<void> {
  const cache = await worker.caches.open(CACHE);
  await cache.addAll([...addresses].map((address) => new Request(address, { cache: "reload" })));
}

worker.addEventListener("activate", (event) => {
  event.waitUntil(activate());
});

async function activate(): Promise<void> {
  const names = await worker.caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => worker.caches.delete(name)));
  await worker.clients.claim();
}

worker.addEventListener("message", ({ data }) => {
  if (data === "replace") void worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || request.headers.has("range")) return;
  const url = new URL(request.url);
  // The page's own address comes with queries of others (utm_source); its files are named by their content.
  url.search = "";
  url.hash = "";
  if (url.href === worker.registration.scope) url.pathname += "index.html";
  if (addresses.has(url.href)) event.respondWith(answer(url.href, request));
});

async function answer(address: string, request: Request): Promise<Response> {
  const cache = await worker.caches.open(CACHE);
  return (await cache.match(address)) ?? fetch(request);
}
