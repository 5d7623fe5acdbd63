/** Writes SentencePiece models for tests: the protocol buffer fields that the reader reads, and no more. */

export interface PieceSpec {
  readonly piece: string;
  readonly score: number;
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly kind?: number;
}

export interface ModelSpec {
  readonly pieces: readonly PieceSpec[];
  /** Defaults are those of LLaMA's model. */
  readonly modelType?: number;
  readonly byteFallback?: boolean;
  readonly suffix?: boolean;
  readonly bosId?: number;
  readonly dummyPrefix?: boolean;
  readonly removeExtraSpaces?: boolean;
  readonly escapeSpaces?: boolean;
  readonly charsMap?: Uint8Array;
}

export function writeModel(spec: ModelSpec): Uint8Array {
  const trainer = [
    integer(3, spec.modelType ?? 2),
    integer(24, Number(spec.suffix ?? false)),
    integer(35, Number(spec.byteFallback ?? true)),
    integer(41, spec.bosId ?? 1),
    integer(42, 2),
  ];
  const normalizer = [
    integer(3, Number(spec.dummyPrefix ?? true)),
    integer(4, Number(spec.removeExtraSpaces ?? false)),
    integer(5, Number(spec.escapeSpaces ?? true)),
    ...(spec.charsMap ? [block(2, spec.charsMap)] : []),
  ];
  return concat([
    ...spec.pieces.map(({ piece, score, kind }) =>
      block(
        1,
        concat([
          block(1, new TextEncoder().encode(piece)),
          float(2, score),
          ...(kind ? [integer(3, kind)] : []),
        ]),
      ),
    ),
    block(2, concat(trainer)),
    block(3, concat(normalizer)),
  ]);
}

/** `<unk>`, `<s>`, `</s>` and the 256 bytes, as LLaMA's model begins. */
export function llamaHead(): PieceSpec[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => ({
    piece: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
    score: 0,
    kind: 6,
  }));
  return [
    { piece: "<unk>", score: 0, kind: 2 },
    { piece: "<s>", score: 0, kind: 3 },
    { piece: "</s>", score: 0, kind: 3 },
    ...bytes,
  ];
}

export function integer(field: number, value: number): Uint8Array {
  return concat([varint(field * 8), varint(value)]);
}

export function block(field: number, bytes: Uint8Array): Uint8Array {
  return concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

export function float(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concat([varint(field * 8 + 5), bytes]);
}

export function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
