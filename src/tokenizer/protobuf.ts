import { TokenizerError } from "../errors.ts";
import { decodeUtf8 } from "../utf8.ts";

/** How a field's value is laid out, as the protocol buffer encoding numbers it. */
type WireType = 0 | 1 | 2 | 5;

const WIRE_NAMES: Record<WireType, string> = { 0: "varint", 1: "64-bit", 2: "length-delimited", 5: "32-bit" };

/**
 * Walks the fields of one protocol buffer message, in order and without copying. Every length is compared with the
 * bytes that are left before it is believed, so that hostile bytes cost at most one pass over them.
 *
 * Call `next()`, look at `field` and `wireType`, then read the value with the one method that fits; a value that
 * nobody reads is skipped by the following `next()`.
 */
export class MessageReader {
  private readonly data: Uint8Array;
  private readonly view: DataView;
  private readonly name: string;
  private offset = 0;
  private valueStart = 0;
  /** The low 32 bits of a varint, or the length of a length-delimited value. */
  private low = 0;

  field = 0;
  wireType: WireType = 0;

  /** `name` is what error messages call these bytes. */
  constructor(bytes: Uint8Array, name: string) {
    this.data = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.name = name;
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.offset >= this.data.length) return false;
    this.varint();
    const tag = this.low >>> 0;
    const wireType = tag & 7;
    this.field = tag >>> 3;
    if (this.field === 0) this.fail("a field numbered 0");
    if (wireType !== 0 && wireType !== 1 && wireType !== 2 && wireType !== 5) {
      this.fail(`field ${this.field} with wire type ${wireType}, and only 0, 1, 2 and 5 are read`);
    }
    this.wireType = wireType;
    this.readValue();
    return true;
  }

  /** The value as a signed 32-bit integer, cut to 32 bits as protocol buffers do. */
  int32(): number {
    this.expect(0);
    return this.low | 0;
  }

  bool(): boolean {
    this.expect(0);
    return this.low !== 0;
  }

  float(): number {
    this.expect(5);
    return this.view.getFloat32(this.valueStart, true);
  }

  /** The value's bytes, a view of the message's. */
  bytes(): Uint8Array {
    this.expect(2);
    return this.data.subarray(this.valueStart, this.offset);
  }

  /** The value's bytes as UTF-8, `limit` of them at most. */
  text(limit: number): string {
    const bytes = this.bytes();
    if (bytes.length > limit) {
      throw new TokenizerError(`${this.name} has a text of ${bytes.length} bytes; up to ${limit} are read.`);
    }
    const fault = (cause: unknown) =>
      new TokenizerError(`${this.name} has a text that is not UTF-8. Fetch the file again.`, { cause });
    // A piece may begin with U+FEFF.
    return decodeUtf8(bytes, fault, true);
  }

  private expect(wireType: WireType): void {
    if (this.wireType !== wireType) {
      const [want, found] = [WIRE_NAMES[wireType], WIRE_NAMES[this.wireType]];
      this.fail(`field ${this.field} as a ${found} value where a ${want} value belongs`);
    }
  }

  private readValue(): void {
    if (this.wireType === 0) {
      this.varint();
      return;
    }
    let length = this.wireType === 1 ? 8 : 4;
    if (this.wireType === 2) {
      if (this.varint()) this.fail(`field ${this.field} with a length above 4 GiB`);
      length = this.low >>> 0;
    }
    const left = this.data.length - this.offset;
    if (length > left) this.fail(`field ${this.field} of ${length} bytes where ${left} are left`);
    this.valueStart = this.offset;
    this.offset += length;
  }

  /** Reads a varint into `low`; true when it does not fit 32 bits. */
  private varint(): boolean {
    this.low = 0;
    let wide = false;
    for (let index = 0; index < 10; index++) {
      const byte = this.data[this.offset++];
      if (byte === undefined) this.fail("an end of file inside a number");
      const bits = byte & 0x7f;
      if (index < 5) this.low |= bits << (7 * index);
      if ((index === 4 && bits > 0x0f) || (index > 4 && bits !== 0)) wide = true;
      if (byte < 0x80) return wide;
    }
    return this.fail("a number longer than 10 bytes");
  }

  private fail(found: string): never {
    throw new TokenizerError(
      `${this.name} is not a SentencePiece model: near byte ${this.offset} it has ${found}. Fetch the file again.`,
    );
  }
}
