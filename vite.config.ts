import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const checkout = fileURLToPath(new URL(".", import.meta.url));
const page = join(checkout, "web/page");

/** Where the page finds the model that comes with it, relative to itself. */
const EMBEDDED = "models/ziya-tiny";

/** The embedded model's files, by their own names, so that a page opens their folder as it does any other one. */
function embeddedModel(): Plugin {
  const folder = join(checkout, EMBEDDED);
  const files = readdirSync(folder).filter(
    (name) => /\.(json|model|safetensors)$/.test(name) && name !== "golden.json",
  );
  return {
    name: "embedded model",
    configureServer({ middlewares }) {
      middlewares.use(`/${EMBEDDED}`, (request, response, next) => {
        const name = files.find((file) => request.url === `/${file}`);
        if (!name) return next();
        const bytes = readFileSync(join(folder, name));
        const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
        if (first === undefined) return response.end(bytes);
        const end = Math.min(Number(last), bytes.length - 1);
        response.writeHead(206, { "content-range": `bytes ${first}-${end}/${bytes.length}` });
        response.end(bytes.subarray(Number(first), end + 1));
      });
    },
    generateBundle() {
      for (const name of files) {
        this.emitFile({
          type: "asset",
          fileName: `${EMBEDDED}/${name}`,
          source: readFileSync(join(folder, name)),
        });
      }
    },
  };
}

/**
 * What the built page may do: run and fetch its own files, and nothing else. Scripts are of no text (trusted types), styles
 * and scripts are files, and nothing is asked of anybody else: a model by its address is fetched by the engine's worker,
 * which has a policy of its own.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types default dompurify",
].join("; ");

function contentPolicy(): Plugin {
  return {
    name: "content security policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
        injectTo: "head-prepend",
      },
    ],
  };
}

/** Tells the service worker the names of the page's files, and their checksum, by which one version differs from another. */
function serviceWorker(): Plugin {
  const ofPublic = readdirSync(join(page, "public"));
  return {
    name: "service worker",
    apply: "build",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const worker = bundle["sw.js"];
        if (worker?.type !== "chunk") throw new Error("The build has no sw.js.");
        const built = Object.values(bundle).filter(
          ({ fileName }) => !/^(sw\.js$|models\/)|\.ts$/.test(fileName),
        );
        const texts = [
          ...built.map((file) => [file.fileName, file.type === "chunk" ? file.code : file.source] as const),
          ...ofPublic.map((name) => [name, readFileSync(join(page, "public", name))] as const),
        ].sort(([a], [b]) => (a < b ? -1 : 1));
        const checksum = createHash("sha256");
        for (const [name, text] of texts) checksum.update(name).update(text);
        worker.code = worker.code
          .replace("PAGE_FILES", JSON.stringify(texts.map(([name]) => name)))
          .replace("PAGE_VERSION", JSON.stringify(checksum.digest("hex").slice(0, 16)));
      },
    },
  };
}

export default defineConfig({
  root: page,
  // Relative addresses, so that the built page works from any folder of any server.
  base: "./",
  server: { fs: { allow: [checkout] } },
  plugins: [embeddedModel(), contentPolicy(), serviceWorker()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { page: join(page, "index.html"), sw: join(page, "sw.ts") },
      output: {
        // A service worker is known by its address.
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
