import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const checkout = fileURLToPath(new URL(".", import.meta.url));

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

export default defineConfig({
  root: fileURLToPath(new URL("web/page", import.meta.url)),
  // Relative addresses, so that the built page works from any folder of any server.
  base: "./",
  server: { fs: { allow: [checkout] } },
  plugins: [embeddedModel()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
  },
});
