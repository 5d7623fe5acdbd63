/**
 * UTF-8 from bytes that come one at a time, read as SentencePiece's decoder reads a run of byte pieces: each byte that
 * does not belong to a whole, shortest, non-surrogate sequence becomes one U+FFFD by itself. (`TextDecoder` would make
 * one U+FFFD of several such bytes.)
 */
export class ByteDecoder {
  private bytes: number[] = [];

  get pending(): boolean {
    return this.bytes.length > 0;
  }

  /** The characters that `byte` completes. */
  push(byte: number): string {
    this.bytes.push(byte);
    return this.take(false);
  }

  /** The end of the run: what is unfinished becomes U+FFFD, one per byte. */
  flush(): string {
    return this.pending ? this.take(true) : "";
  }

  private take(last: boolean): string {
    let text = "";
    while (this.bytes.length > 0) {
      const length = sequenceLength(this.bytes[0]!);
      const trail = this.bytes.slice(1, length);
      const whole = trail.every((byte) => (byte & 0xc0) === 0x80);
      if (whole && trail.length < length - 1 && !last) break;
      const codePoint = whole && trail.length === length - 1 ? join(this.bytes[0]!, trail) : -1;
      text += codePoint < 0 ? "\ufffd" : String.fromCodePoint(codePoint);
      this.bytes = this.bytes.slice(codePoint < 0 ? 1 : length);
    }
    return text;
  }
}

/** Bytes of the sequence that `lead` begins; 1 for a byte that begins none. */
function sequenceLength(lead: number): number {
  if ((lead & 0xe0) === 0xc0) return 2;
  if ((lead & 0xf0) === 0xe0) return 3;
  return (lead & 0xf8) === 0xf0 ? 4 : 1;
}

/** The code point of a sequence, or -1 for one that is too long, a surrogate, above U+10FFFF or no lead byte. */
function join(lead: number, trail: readonly number[]): number {
  if (trail.length === 0) return lead < 0x80 ? lead : -1;
  const smallest = [0, 0x80, 0x800, 0x10000][trail.length]!;
  let codePoint = lead & (0x3f >> trail.length);
  for (const byte of trail) codePoint = (codePoint << 6) | (byte & 0x3f);
  const surrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
  return codePoint < smallest || codePoint > 0x10ffff || surrogate ? -1 : codePoint;
}
