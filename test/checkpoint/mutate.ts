/** Numbers at which readers break: ends of ranges, powers of two and their neighbours. */
const EDGES = [0, 1, 2, 7, 8, 127, 128, 255, 65535, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** `bytes` damaged in one to four places; most damage falls on the first and last kilobyte, where headers lie. */
export function mutate(bytes: Uint8Array, next: () => number): Uint8Array {
  let result: Uint8Array = bytes.slice();
  for (let damage = 1 + Math.floor(next() * next() * 4); damage > 0; damage--) {
    result = damageOnce(result, next);
  }
  return result;
}

function damageOnce(bytes: Uint8Array, next: () => number): Uint8Array {
  const below = (end: number) => Math.floor(next() * end);
  if (bytes.length === 0) return Uint8Array.of(below(256));
  const near = Math.min(bytes.length, 1024);
  const place = next();
  const at = place < 0.5 ? below(near) : place < 0.8 ? bytes.length - 1 - below(near) : below(bytes.length);
  const length = Math.min(1 + below(16), bytes.length - at);
  const before = bytes.subarray(0, at);
  const after = bytes.subarray(at + length);
  switch (below(9)) {
    case 0:
      bytes[at]! ^= 1 << below(8);
      return bytes;
    case 1:
      bytes[at] = below(256);
      return bytes;
    case 2: // an edge as a little-endian number
      for (let i = 0, edge = EDGES[below(EDGES.length)]!; i < length; i++, edge = Math.floor(edge / 256)) {
        bytes[at + i] = edge % 256;
      }
      return bytes;
    case 3: // another digit
      for (let i = at; i < bytes.length; i++) {
        if (bytes[i]! < 48 || bytes[i]! > 57) continue;
        bytes[i] = 48 + below(10);
        break;
      }
      return bytes;
    case 4:
      return bytes.slice(0, at);
    case 5:
      return concat(before, after);
    case 6:
      return concat(
        before,
        Uint8Array.from({ length }, () => below(256)),
        bytes.subarray(at),
      );
    case 7: // a piece of the file once more
      return concat(before, bytes.subarray(at, at + length), bytes.subarray(at));
    default: {
      // a piece of the file in another's place
      const from = below(bytes.length);
      bytes.copyWithin(at, from, from + length);
      return bytes;
    }
  }
}

function concat(...parts: Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
