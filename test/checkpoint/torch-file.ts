import { crc32 } from "../../src/checkpoint/crc32.ts";

const encoder = new TextEncoder();

export interface Stored {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface ZipOptions {
  /** Says every number in zip64 fields, as files beyond 4 GiB must. */
  readonly zip64?: boolean;
  /** Bytes before each entry's data, in the local header's extra field: torch pads to 64 so. */
  readonly padding?: number;
  /** Added to every offset: where the file pretends to begin. */
  readonly base?: number;
  readonly method?: number;
  readonly flags?: number;
}

const number = (value: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) % 256);

/** A zip file of stored entries, written by the format's description. */
export function zip(entries: readonly Stored[], options: ZipOptions = {}): Uint8Array {
  const { zip64 = false, padding = 5, base = 0, method = 0, flags = 0 } = options;
  const file: number[] = [];
  const directory: number[] = [];
  for (const { name, bytes } of entries) {
    const [text, offset, size] = [encoder.encode(name), file.length + base, bytes.length];
    const narrow = zip64 ? 0xffffffff : size;
    const both = [...number(flags, 2), ...number(method, 2), 0, 0, 0, 0, ...number(crc32(bytes), 4)];
    file.push(...number(0x04034b50, 4), 0, 0, ...both, ...number(narrow, 4), ...number(narrow, 4));
    file.push(
      ...number(text.length, 2),
      ...number(padding, 2),
      ...text,
      ...Array(padding).fill(0x5a),
      ...bytes,
    );
    const extra = zip64 ? [1, 0, 24, 0, ...number(size, 8), ...number(size, 8), ...number(offset, 8)] : [];
    directory.push(...number(0x02014b50, 4), 0, 0, 0, 0, ...both, ...number(narrow, 4), ...number(narrow, 4));
    directory.push(...number(text.length, 2), ...number(extra.length, 2), ...Array(10).fill(0));
    directory.push(...number(zip64 ? 0xffffffff : offset, 4), ...text, ...extra);
  }
  const [start, size, count] = [file.length + base, directory.length, entries.length];
  file.push(...directory);
  if (zip64) {
    const end = file.length + base;
    file.push(...number(0x06064b50, 4), ...number(44, 8), ...Array(12).fill(0));
    for (const value of [count, count, size, start]) file.push(...number(value, 8));
    file.push(...number(0x07064b50, 4), 0, 0, 0, 0, ...number(end, 8), 1, 0, 0, 0);
  }
  file.push(...number(0x06054b50, 4), 0, 0, 0, 0);
  file.push(...number(zip64 ? 0xffff : count, 2), ...number(zip64 ? 0xffff : count, 2));
  file.push(...number(zip64 ? 0xffffffff : size, 4), ...number(zip64 ? 0xffffffff : start, 4), 0, 0);
  return Uint8Array.from(file);
}

/** Pieces of a pickle: a string is a line of text, a number an opcode or byte. */
export function pickle(...pieces: (number | string | readonly number[])[]): Uint8Array {
  return Uint8Array.from(
    pieces.flatMap((piece) => {
      if (typeof piece === "number") return [piece];
      return typeof piece === "string" ? [...encoder.encode(`${piece}\n`)] : [...piece];
    }),
  );
}

/** Opcodes by their names in Python's pickletools. */
export const op = {
  PROTO2: [0x80, 2],
  MARK: 0x28,
  STOP: 0x2e,
  NONE: 0x4e,
  FALSE: 0x89,
  EMPTY_TUPLE: 0x29,
  TUPLE: 0x74,
  TUPLE1: 0x85,
  EMPTY_DICT: 0x7d,
  SETITEM: 0x73,
  SETITEMS: 0x75,
  GLOBAL: 0x63,
  REDUCE: 0x52,
  BUILD: 0x62,
  BINPERSID: 0x51,
  text: (text: string) => {
    const bytes = encoder.encode(text);
    return [0x58, ...number(bytes.length, 4), ...bytes];
  },
  int: (value: number) => [0x8a, 8, ...number(value, 8)],
} as const;

const STORAGES = { F32: ["FloatStorage", 4], F16: ["HalfStorage", 2], BF16: ["BFloat16Storage", 2] } as const;

export interface SavedTensor {
  readonly name: string;
  readonly dtype: keyof typeof STORAGES;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** Of the storage, where it is not what the bytes say. */
  readonly length?: number;
  readonly offset?: number;
  /** Of a storage that another tensor has. */
  readonly key?: number;
  readonly strides?: readonly number[];
}

/** The pickle that torch.save writes for contiguous tensors, each with a storage of its own, 0, 1, 2 and so on, or another's. */
export function stateDictPickle(tensors: readonly SavedTensor[]): Uint8Array {
  const tuple = (values: readonly number[]) => [op.MARK, ...values.flatMap(op.int), op.TUPLE];
  const items = tensors.map(({ name, dtype, shape, bytes, offset = 0, strides, length, ...more }, i) => {
    const { key = i } = more;
    const [storage, size] = STORAGES[dtype];
    const rowMajor = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
    return pickle(
      ...[op.text(name), op.GLOBAL, "torch._utils", "_rebuild_tensor_v2", op.MARK],
      ...[op.MARK, op.text("storage"), op.GLOBAL, "torch", storage, op.text(`${key}`), op.text("cpu")],
      ...[op.int(length ?? bytes.length / size), op.TUPLE, op.BINPERSID, op.int(offset)],
      ...[tuple(shape), tuple(strides ?? rowMajor), op.FALSE],
      ...[op.GLOBAL, "collections", "OrderedDict", op.EMPTY_TUPLE, op.REDUCE, op.TUPLE, op.REDUCE],
    );
  });
  return pickle(op.PROTO2, op.EMPTY_DICT, op.MARK, ...items.map((item) => [...item]), op.SETITEMS, op.STOP);
}

/** A file as torch.save writes it. */
export function torchFile(tensors: readonly SavedTensor[], options: ZipOptions = {}): Uint8Array {
  return zip(
    torchEntries(
      stateDictPickle(tensors),
      tensors.map(({ bytes }) => bytes),
    ),
    options,
  );
}

export function torchEntries(stateDict: Uint8Array, storages: readonly Uint8Array[]): Stored[] {
  return [
    { name: "archive/data.pkl", bytes: stateDict },
    ...storages.map((bytes, key) => ({ name: `archive/data/${key}`, bytes })),
    { name: "archive/version", bytes: encoder.encode("3\n") },
  ];
}
