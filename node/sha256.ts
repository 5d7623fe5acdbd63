import { createHash } from "node:crypto";
import type { Sha256 } from "../src/convert/manifest.ts";

/** Node's SHA-256, in the shape that checkpoints ask for. */
export function createSha256(): Sha256 {
  const hash = createHash("sha256");
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    hex: () => hash.digest("hex"),
  };
}
