import { sha256 } from "@noble/hashes/sha2.js";
import type { Sha256 } from "../../src/convert/manifest.ts";

/** SHA-256 of bytes that come in pieces, which Web Crypto does not do, in the shape that checkpoints ask for. */
export function createSha256(): Sha256 {
  const hash = sha256.create();
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    hex: () => hexOf(hash.digest()),
  };
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
