import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join, relative } from "node:path";
import { build, type Plugin } from "esbuild";
import { packageRoot } from "../../node/host.ts";
import { sendFile } from "./static.ts";

/** The sources, for pages that import modules of web/ and src/. */
export interface SourceServer {
  /** A page without anything in it, of the sources' origin. */
  readonly blank: string;
  /** The address of a file of the checkout, by its path from the root. */
  address(path: string): string;
  close(): Promise<void>;
}

/** The kernels' texts and the addresses of workers, as Vite has them for the page. */
const sources: Plugin = {
  name: "sources",
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]web[\\/]shaders\.ts$/ }, async () => {
      const names = (await readdir(join(packageRoot, "shaders"))).filter((name) => name.endsWith(".wgsl"));
      const texts = names.map(async (name) => [
        `../shaders/${name}`,
        await readFile(join(packageRoot, "shaders", name), "utf8"),
      ]);
      return {
        contents: `export const shaders = ${JSON.stringify(Object.fromEntries(await Promise.all(texts)))};`,
      };
    });
    onLoad({ filter: /[\\/](web|test)[\\/].*\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text.replace(/new URL\("(\.[^"]+)", import\.meta\.url\)/g, (_, file: string) => {
        return `new URL("/${relative(packageRoot, join(dirname(path), file))}", location.origin)`;
      });
      return { contents, loader: "ts" };
    });
  },
};

/** A module with all that it imports: workers begin ten times sooner by it than by their modules one by one. */
async function bundle(path: string): Promise<Buffer> {
  const { outputFiles } = await build({
    entryPoints: [join(packageRoot, path)],
    bundle: true,
    format: "esm",
    target: "es2023",
    write: false,
    logLevel: "silent",
    plugins: [sources],
  });
  return Buffer.from(outputFiles[0]!.contents);
}

/** Serves the checkout's files, of TypeScript what can be imported: each file in one piece with what it imports. */
export async function serveSources(): Promise<SourceServer> {
  const bundles = new Map<string, Promise<Buffer>>();
  const read = (path: string): Promise<Buffer> => {
    if (!path.endsWith(".ts")) return readFile(join(packageRoot, path));
    const made = bundles.get(path) ?? bundle(path);
    bundles.set(path, made);
    return made;
  };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url!, "http://localhost");
    if (pathname === "/blank") {
      response.setHeader("content-type", "text/html");
      response.end("<!doctype html><title>blank</title>");
      return;
    }
    const bytes = await read(pathname.slice(1)).catch(() => undefined);
    if (bytes) sendFile(request, response, pathname, bytes);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    blank: `${origin}blank`,
    address: (path) => origin + path,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
