import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const checkout = fileURLToPath(new URL(".", import.meta.url));

export default defineConfig({
  root: fileURLToPath(new URL("web/page", import.meta.url)),
  // Relative addresses, so that the built page works from any folder of any server.
  base: "./",
  server: { fs: { allow: [checkout] } },
  build: {
    target: "es2023",
    // The model's files stay files: they are fetched by name, not carried in the script.
    assetsInlineLimit: 0,
  },
});
