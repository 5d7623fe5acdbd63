const plain = new TextDecoder("utf-8", { fatal: true });
const exact = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Bytes as UTF-8. A byte order mark at their beginning is no part of the text, unless `keepMark`.
 * @throws what `fault` makes of the reason, for bytes that are no UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array, fault: (cause: unknown) => Error, keepMark = false): string {
  try {
    return (keepMark ? exact : plain).decode(bytes);
  } catch (cause) {
    throw fault(cause);
  }
}
