// Bundles the browser's half of the package to dist/browser/: index.js for pages, worker.js beside it, and the worker's text
// for pages whose bundler leaves that file behind. Plain JavaScript, because a checkout's set-up runs it.
//
//   node node/setup/browser.mjs

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = join(root, "dist", "browser");

/** A shader without its comments and indentation; its lines keep their numbers, which errors name. */
function bare(/** @type {string} */ text) {
  return text.replace(/\/\/.*$/gm, "").replace(/^[ \t]+|[ \t]+$/gm, "");
}

/** What stands in for web/shaders.ts: there Vite collects the texts, here this does. */
function shaderModule() {
  const names = readdirSync(join(root, "shaders")).filter((name) => name.endsWith(".wgsl"));
  const texts = names.map((name) => [
    `../shaders/${name}`,
    bare(readFileSync(join(root, "shaders", name), "utf8")),
  ]);
  return `export const shaders = ${JSON.stringify(Object.fromEntries(texts))};`;
}

/** @type {import("esbuild").Plugin} */
const own = {
  name: "ziya-webgpu",
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /[\\/]web[\\/]shaders\.ts$/ }, () => ({ contents: shaderModule(), loader: "js" }));
    // Named as it will lie beside the bundle, so that bundlers of pages find it there.
    onLoad({ filter: /[\\/]client[\\/]start\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll('"../worker.ts"', '"./worker.js"'),
      loader: "ts",
    }));
    onResolve({ filter: /\/worker-text\.ts$/ }, ({ path }) => ({
      path: `./${basename(path, ".ts")}.js`,
      external: true,
    }));
  },
};

const { warnings } = await build({
  entryPoints: [join(root, "web", "index.ts"), join(root, "web", "worker.ts")],
  outdir: folder,
  bundle: true,
  format: "esm",
  target: "es2023",
  minify: true,
  keepNames: true,
  plugins: [own],
  logLevel: "warning",
});
if (warnings.length > 0) process.exitCode = 1;
const worker = readFileSync(join(folder, "worker.js"), "utf8");
writeFileSync(join(folder, "worker-text.js"), `export default ${JSON.stringify(worker)};\n`);
