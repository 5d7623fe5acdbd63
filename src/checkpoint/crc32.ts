/** The polynomial of zip, its bits reversed: the highest bit stands for x^0. */
const POLYNOMIAL = 0xedb88320;
/** Bytes that one step takes, each by a table of its own. */
const STEP = 16;

/** [STEP, 256]: what a byte adds to the checksum when 0, 1 .. STEP - 1 more bytes follow it. */
const TABLE = makeTable();

function makeTable(): Int32Array {
  const table = new Int32Array(STEP * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i++) {
    const before = table[i - 256]!;
    table[i] = (before >>> 8) ^ table[before & 255]!;
  }
  return table;
}

/**
 * The checksum of zip entries (CRC-32 of ISO 3309), sixteen bytes in a step: M. Kounavis and F. Berry, "A Systematic
 * Approach to Building High Performance, Software-based, CRC Generators", 2005.
 */
export function crc32(bytes: Uint8Array): number {
  const t = TABLE;
  const head = Math.min(-bytes.byteOffset & 3, bytes.length);
  let crc = append(~0, bytes.subarray(0, head));
  const steps = Math.floor((bytes.length - head) / STEP);
  // Words of the machine, which has to be little-endian: WebGPU is nowhere else.
  const words = steps ? new Int32Array(bytes.buffer, bytes.byteOffset + head, 4 * steps) : new Int32Array(0);
  for (let i = 0; i < words.length; i += 4) {
    const [a, b, c, d] = [crc ^ words[i]!, words[i + 1]!, words[i + 2]!, words[i + 3]!];
    crc =
      t[3840 | (a & 255)]! ^
      t[3584 | ((a >>> 8) & 255)]! ^
      t[3328 | ((a >>> 16) & 255)]! ^
      t[3072 | (a >>> 24)]!;
    crc ^=
      t[2816 | (b & 255)]! ^
      t[2560 | ((b >>> 8) & 255)]! ^
      t[2304 | ((b >>> 16) & 255)]! ^
      t[2048 | (b >>> 24)]!;
    crc ^=
      t[1792 | (c & 255)]! ^
      t[1536 | ((c >>> 8) & 255)]! ^
      t[1280 | ((c >>> 16) & 255)]! ^
      t[1024 | (c >>> 24)]!;
    crc ^= t[768 | (d & 255)]! ^ t[512 | ((d >>> 8) & 255)]! ^ t[256 | ((d >>> 16) & 255)]! ^ t[d >>> 24]!;
  }
  return ~append(crc, bytes.subarray(head + words.byteLength)) >>> 0;
}

function append(crc: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]!) & 255]!;
  return crc;
}

/**
 * What bytes of the checksum `crc` add to that of a whole in which `count` bytes follow them: the checksums of all
 * parts, shifted so, XORed, are the checksum of the whole.
 */
export function shiftCrc32(crc: number, count: number): number {
  let power = 1 << 23; // x^8, a byte further
  for (let left = count; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) crc = multiply(crc, power);
    power = multiply(power, power);
  }
  return crc >>> 0;
}

/** The product of two polynomials over GF(2), modulo POLYNOMIAL. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= b;
    b = b & 1 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1;
  }
  return product;
}
