import { crc32 } from "../src/checkpoint/crc32.ts";
import type { ByteSource } from "../src/checkpoint/source.ts";

/** One F16 or F32 tensor of a file of `torch.save`, whose bytes are made when they are read. */
export interface VirtualTensor {
  readonly name: string;
  readonly dtype: "F16" | "F32";
  readonly shape: readonly number[];
  /** Writes bytes [from, from + into.length) of the tensor. */
  fill(into: Uint8Array, from: number): void;
  /** The checksum of all its bytes. */
  crc32(): number;
}

/** A part of a file: bytes that are there, or a tensor's. */
interface Part {
  readonly start: number;
  readonly size: number;
  fill(into: Uint8Array, from: number): void;
}

const BYTES = { F16: 2, F32: 4 };
/** torch.save begins every storage at a multiple of this, by padding the extra field of its local header. */
const ALIGNMENT = 64;
const LOCAL_HEADER = 30;

/** A zip file as `torch.save(state_dict)` writes it, without its bytes in memory. */
export function torchFile(name: string, tensors: readonly VirtualTensor[]): ByteSource {
  const parts: Part[] = [];
  const directory: Uint8Array[] = [];
  let end = 0;
  const add = (size: number, fill: Part["fill"]) => {
    parts.push({ start: end, size, fill });
    end += size;
  };
  const addBytes = (bytes: Uint8Array) =>
    add(bytes.length, (into, from) => into.set(bytes.subarray(from, from + into.length)));
  const addEntry = (path: string, size: number, crc: number, fill: Part["fill"]) => {
    const headerOffset = end;
    const text = new TextEncoder().encode(`archive/${path}`);
    const unpadded = end + LOCAL_HEADER + text.length + 4;
    const padding = (ALIGNMENT - (unpadded % ALIGNMENT)) % ALIGNMENT;
    addBytes(localHeader(text, size, crc, padding));
    add(size, fill);
    directory.push(centralHeader(text, size, crc, headerOffset));
  };
  const addText = (path: string, bytes: Uint8Array) =>
    addEntry(path, bytes.length, crc32(bytes), (into, from) =>
      into.set(bytes.subarray(from, from + into.length)),
    );
  addText("data.pkl", stateDictPickle(tensors));
  for (const [i, { dtype, shape, fill, crc32 }] of tensors.entries()) {
    addEntry(`data/${i}`, BYTES[dtype] * shape.reduce((a, b) => a * b, 1), crc32(), fill);
  }
  addText("version", new TextEncoder().encode("3\n"));
  const start = end;
  for (const bytes of directory) addBytes(bytes);
  addBytes(endRecord(directory.length, end - start, start));
  return {
    name,
    size: end,
    async read(offset, length) {
      if (offset < 0 || length < 0 || offset + length > end)
        throw new RangeError(`${name} has no bytes ${offset} + ${length}.`);
      const bytes = new Uint8Array(length);
      let index = Math.max(
        0,
        parts.findLastIndex((part) => part.start <= offset),
      );
      for (let at = offset; at < offset + length; index++) {
        const part = parts[index]!;
        const stop = Math.min(part.start + part.size, offset + length);
        part.fill(bytes.subarray(at - offset, stop - offset), at - part.start);
        at = stop;
      }
      return bytes;
    },
  };
}

function record(
  fields: readonly (readonly [size: 2 | 4, value: number])[],
  ...tail: Uint8Array[]
): Uint8Array {
  const length = fields.reduce((sum, [size]) => sum + size, 0);
  const bytes = new Uint8Array(length + tail.reduce((sum, { length: more }) => sum + more, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  for (const part of tail) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function localHeader(name: Uint8Array, size: number, crc: number, padding: number): Uint8Array {
  const extra = record(
    [
      [2, 0x4246],
      [2, padding],
    ],
    new Uint8Array(padding).fill(0x5a),
  );
  return record(
    [
      [4, 0x04034b50],
      [2, 0],
      [2, 0],
      [2, 0],
      [2, 0],
      [2, 0],
      [4, crc],
      [4, size],
      [4, size],
      [2, name.length],
      [2, extra.length],
    ],
    name,
    extra,
  );
}

/** Offsets above 4 GiB go to a zip64 extra field, as the format asks. */
function centralHeader(name: Uint8Array, size: number, crc: number, offset: number): Uint8Array {
  const far = offset > 0xfffffffe;
  const extra = far
    ? record([
        [2, 1],
        [2, 8],
        [4, offset % 2 ** 32],
        [4, Math.floor(offset / 2 ** 32)],
      ])
    : new Uint8Array();
  return record(
    [
      [4, 0x02014b50],
      [2, 0],
      [2, 0],
      [2, 0],
      [2, 0],
      [2, 0],
      [2, 0],
      [4, crc],
      [4, size],
      [4, size],
      [2, name.length],
      [2, extra.length],
      [2, 0],
      [2, 0],
      [2, 0],
      [4, 0],
      [4, far ? 0xffffffff : offset],
    ],
    name,
    extra,
  );
}

function endRecord(count: number, size: number, start: number): Uint8Array {
  const wide = (value: number): [4, number][] => [
    [4, value % 2 ** 32],
    [4, Math.floor(value / 2 ** 32)],
  ];
  const end64 = record([
    [4, 0x06064b50],
    [4, 44],
    [4, 0],
    [2, 45],
    [2, 45],
    [4, 0],
    [4, 0],
    ...wide(count),
    ...wide(count),
    ...wide(size),
    ...wide(start),
  ]);
  const locator = record([[4, 0x07064b50], [4, 0], ...wide(start + size), [4, 1]]);
  const far = start > 0xfffffffe;
  const end = record([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, count],
    [2, count],
    [4, size],
    [4, far ? 0xffffffff : start],
    [2, 0],
  ]);
  return far ? record([], end64, locator, end) : end;
}

/** Protocol 2: an OrderedDict of _rebuild_tensor_v2 calls, an opcode at a time. */
function stateDictPickle(tensors: readonly VirtualTensor[]): Uint8Array {
  const bytes: number[] = [0x80, 2];
  const text = new TextEncoder();
  const put = (...values: number[]) => bytes.push(...values);
  const global = (module: string, name: string) => put(0x63, ...text.encode(`${module}\n${name}\n`));
  const string = (value: string) => {
    const encoded = text.encode(value);
    put(0x58, ...new Uint8Array(new Uint32Array([encoded.length]).buffer), ...encoded);
  };
  const integer = (value: number) => put(0x4a, ...new Uint8Array(new Int32Array([value]).buffer));
  const tuple = (values: readonly number[]) => {
    put(0x28);
    for (const value of values) integer(value);
    put(0x74);
  };
  const orderedDict = () => {
    global("collections", "OrderedDict");
    put(0x29, 0x52);
  };
  orderedDict();
  put(0x28);
  for (const [i, { name, dtype, shape }] of tensors.entries()) {
    const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
    string(name);
    global("torch._utils", "_rebuild_tensor_v2");
    put(0x28, 0x28);
    string("storage");
    global("torch", dtype === "F16" ? "HalfStorage" : "FloatStorage");
    string(String(i));
    string("cpu");
    integer(shape.reduce((a, b) => a * b, 1));
    put(0x74, 0x51);
    integer(0);
    tuple(shape);
    tuple(strides);
    put(0x89);
    orderedDict();
    put(0x74, 0x52);
  }
  put(0x75, 0x2e);
  return Uint8Array.from(bytes);
}
