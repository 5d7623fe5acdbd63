import { expect, test } from "vitest";
import { countedBytes, Pieces } from "../../web/store/pieces.ts";
import type { SyncFile } from "../../web/store/sync-file.ts";

/** A file in memory, of which the browser writes at most 100 bytes at a time. */
function memoryFile(contents: Uint8Array = new Uint8Array()): SyncFile & { bytes(): Uint8Array } {
  let bytes = contents.slice();
  const resize = (size: number) => {
    const next = new Uint8Array(size);
    next.set(bytes.subarray(0, size));
    bytes = next;
  };
  return {
    bytes: () => bytes,
    read(into, { at }) {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      return part.length;
    },
    write(part, { at }) {
      const taken = part.subarray(0, 100);
      if (at + taken.length > bytes.length) resize(at + taken.length);
      bytes.set(taken, at);
      return taken.length;
    },
    truncate: resize,
    getSize: () => bytes.length,
    flush: () => {},
    close: () => {},
  };
}

const SIZE = 2500;
const PIECE = 1000;
const CONTENTS = Uint8Array.from({ length: SIZE }, (_, i) => i * 7);

/** A file of three pieces, of which there are 300 bytes of the first and all of the last. */
function begun() {
  const [data, sidecar] = [memoryFile(), memoryFile()];
  const pieces = new Pieces(data, sidecar, SIZE, PIECE);
  pieces.adopt({ name: "v1", validator: '"v1"' });
  pieces.append(0, CONTENTS.subarray(0, 300));
  pieces.append(2, CONTENTS.subarray(2000));
  return { data, sidecar, pieces };
}

test("knows what of each piece is there, in another worker too", () => {
  const { data, sidecar } = begun();
  // The size of its pieces is that with which it was begun.
  const again = new Pieces(data, memoryFile(sidecar.bytes()), SIZE, 10);
  expect(again.count).toBe(3);
  expect([0, 1, 2].map((piece) => again.missingFrom(piece))).toEqual([300, 1000, 2500]);
  expect([0, 1, 2].map((piece) => again.endOf(piece))).toEqual([1000, 2000, 2500]);
  expect(again.done).toBe(800);
  expect(again.version).toEqual({ name: "v1", validator: '"v1"' });
  again.append(0, CONTENTS.subarray(300, 1000));
  again.append(1, CONTENTS.subarray(1000, 2000));
  expect(again.done).toBe(SIZE);
  expect(data.bytes()).toEqual(CONTENTS);
});

test.each([
  ["is cut short", (bytes: Uint8Array) => bytes.subarray(0, -1)],
  ["counts more than a piece has", (bytes: Uint8Array) => bytes.with(1024 + 1, 0xff)],
  // 756 of the 500 that the last one has.
  ["counts more than the file has", (bytes: Uint8Array) => bytes.with(1024 + 9, 2)],
  ["has no head", (bytes: Uint8Array) => bytes.with(0, 0)],
  ["is empty", () => new Uint8Array()],
])("begins again where the sidecar %s", (_, damage) => {
  const { data, sidecar } = begun();
  const damaged = damage(sidecar.bytes());
  expect(countedBytes(damaged)).toBe(0);
  const again = new Pieces(data, memoryFile(damaged), SIZE, PIECE);
  expect(again.done).toBe(0);
  expect(again.version).toBeUndefined();
  expect(countedBytes(sidecar.bytes())).toBe(800);
});

test("begins again where the file has another size", () => {
  const { data, sidecar } = begun();
  const again = new Pieces(data, sidecar, SIZE + 1, PIECE);
  expect([again.done, again.size, again.endOf(2)]).toEqual([0, SIZE + 1, SIZE + 1]);
});

test("keeps its bytes where the version's name is too long to be kept", () => {
  const { data, sidecar, pieces } = begun();
  pieces.reset();
  pieces.adopt({ name: "v".repeat(2000) });
  pieces.append(1, CONTENTS.subarray(1000, 1100));
  const again = new Pieces(data, sidecar, SIZE, PIECE);
  expect([again.done, again.version]).toEqual([100, undefined]);
});

test("takes its room when it begins", () => {
  const data = memoryFile();
  new Pieces(data, memoryFile(), SIZE, PIECE);
  expect(data.getSize()).toBe(SIZE);
});
