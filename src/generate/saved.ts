import { crc32, shiftCrc32 } from "../checkpoint/crc32.ts";
import { isObject, parseObject } from "../checkpoint/json.ts";
import type { ByteSource } from "../checkpoint/source.ts";
import { ConversationError, DeviceLostError } from "../errors.ts";
import type { LanguageModel } from "../model/language-model.ts";
import type { Identity, Snapshots } from "../model/snapshots.ts";
import { show } from "../show.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { decodeUtf8 } from "../utf8.ts";
import { checkMessage } from "./chat.ts";
import { Holding } from "./holding.ts";
import { inRoom } from "./room.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Message } from "./template.ts";

/**
 * A saved conversation, numbers little-endian:
 *
 * | bytes      |                                                                                       |
 * | ---------- | ------------------------------------------------------------------------------------- |
 * | 8          | "ziyatalk"                                                                            |
 * | 4          | the version of this table, 1                                                          |
 * | 4          | bytes of the header                                                                   |
 * | the header | JSON: the identity of model, tokenizer and cache; the ids in the cache; the messages  |
 * | the cache  | keys and values of the ids, as `Snapshots` have them                                  |
 * | 4          | CRC-32 of all that is before it                                                       |
 */
const MAGIC = new TextEncoder().encode("ziyatalk");
const VERSION = 1;
const START = MAGIC.length + 8;
const END = 4;
/** Longest header that is believed and written: the ids and messages of a hundred thousand tokens take about 1 MB. */
const HEADER_LIMIT = 8 * 1024 * 1024;

/** What is saved. */
interface Parts {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly snapshots: Snapshots;
}

/** Where it is restored. */
interface Place extends Parts {
  readonly scheduler: Scheduler;
}

/**
 * Messages, with what the cache holds of the prompt that goes on from them.
 * @throws ConversationError when the messages are too long to be saved, and what reading the GPU throws.
 */
export async function* saveConversation(
  { model, tokenizer, snapshots }: Parts,
  messages: readonly Message[],
  prompt: readonly number[],
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  // A sequence of its own, so that nothing changes while it is read.
  const sequence = model.open(prompt);
  try {
    const identity = { ...(await snapshots.identify()), ...identityOf(tokenizer) };
    const header = new TextEncoder().encode(JSON.stringify({ identity, tokens: sequence.tokens, messages }));
    if (header.length > HEADER_LIMIT) {
      throw new ConversationError(
        `The conversation's messages and ids take ${header.length} bytes, and a saved one at most ${HEADER_LIMIT}: begin a new one.`,
      );
    }
    const start = new Uint8Array(START);
    start.set(MAGIC);
    const numbers = new DataView(start.buffer, MAGIC.length);
    numbers.setUint32(0, VERSION, true);
    numbers.setUint32(4, header.length, true);
    const sum = new RunningSum();
    for (const bytes of [start, header]) {
      sum.add(bytes);
      yield bytes;
    }
    for await (const bytes of snapshots.read(sequence)) {
      sum.add(bytes);
      yield bytes;
    }
    const end = new Uint8Array(END);
    new DataView(end.buffer).setUint32(0, sum.value, true);
    yield end;
  } finally {
    sequence.release();
  }
}

/**
 * The messages of a saved conversation, after what it held is in the cache for the prompt that goes on from them.
 * @throws ConversationError for bytes that are no such thing, are damaged or are of another model, tokenizer or cache,
 * ContextOverflowError when there is no room for them, and DeviceLostError when another model is in the place of this one before there is room for them.
 */
export async function restoreConversation(place: Place, source: ByteSource): Promise<readonly Message[]> {
  const { model, tokenizer, snapshots, scheduler } = place;
  const { name, size } = source;
  if (size < START + END) throw damaged(name, `has ${size} bytes`);
  const start = await source.read(0, START);
  if (MAGIC.some((byte, i) => start[i] !== byte)) {
    throw new ConversationError(`${name} is no saved conversation: it does not begin with "ziyatalk".`);
  }
  const numbers = new DataView(start.buffer, start.byteOffset + MAGIC.length);
  const [version, headerBytes] = [numbers.getUint32(0, true), numbers.getUint32(4, true)];
  if (version !== VERSION) {
    throw new ConversationError(
      `${name} is a conversation saved in version ${version} of the format; this release reads version ${VERSION}.`,
    );
  }
  if (headerBytes > Math.min(HEADER_LIMIT, size - START - END)) {
    throw damaged(name, `announces a header of ${headerBytes} bytes`);
  }
  const bytes = await source.read(START, headerBytes);
  const { identity, tokens, messages } = parseHeader(name, bytes);
  const own = { ...(await snapshots.identify()), ...identityOf(tokenizer) };
  expectSame(name, identity, own);
  checkTokens(name, tokens, model);
  const wanted = START + headerBytes + snapshots.bytesOf(tokens.length) + END;
  if (size !== wanted) throw damaged(name, `has ${size} bytes, and its header calls for ${wanted}`);

  const sum = new RunningSum();
  sum.add(start);
  sum.add(bytes);
  let at = START + headerBytes;
  const holding = new Holding(false);
  try {
    const sequence = await inRoom(scheduler, holding, tokens.length, async (room) => room);
    if (scheduler.model !== model) {
      throw new DeviceLostError(`The device was lost before there was room for the conversation in ${name}.`);
    }
    await snapshots.write(sequence, tokens.length, async (length) => {
      const bytes = new Uint8Array(await source.read(at, length));
      sum.add(bytes);
      at += length;
      return bytes;
    });
    const end = await source.read(at, END);
    if (new DataView(end.buffer, end.byteOffset).getUint32(0, true) !== sum.value) {
      throw damaged(name, "has another checksum than its bytes");
    }
    sequence.append(tokens, 0, tokens.length);
    sequence.release();
  } finally {
    // What was not all written, nobody finds.
    scheduler.places.release(holding);
  }
  return messages;
}

function damaged(name: string, found: string): ConversationError {
  return new ConversationError(`${name} ${found}: the saved conversation is damaged or cut short.`);
}

function parseHeader(name: string, bytes: Uint8Array) {
  const what = `The header of ${name}`;
  const text = decodeUtf8(
    bytes,
    (cause) => new ConversationError(`${what} is not UTF-8: the saved conversation is damaged.`, { cause }),
  );
  const { identity, tokens, messages } = parseObject(text, what, ConversationError);
  if (!isObject(identity) || !Array.isArray(tokens) || !Array.isArray(messages)) {
    throw damaged(name, "has no identity, tokens and messages in its header");
  }
  try {
    messages.forEach(checkMessage);
  } catch (cause) {
    throw new ConversationError(`${what}: ${(cause as Error).message}`, { cause });
  }
  return { identity, tokens: tokens as unknown[], messages: messages as readonly Message[] };
}

/** @throws ConversationError at the first thing that is not as it was. */
function expectSame(name: string, saved: Readonly<Record<string, unknown>>, own: Identity): void {
  const what = Object.keys({ ...own, ...saved }).find((key) => saved[key] !== own[key]);
  if (what === undefined) return;
  throw new ConversationError(
    `${name} was saved with ${what} ${show(saved[what])}, and here it is ${show(own[what])}: load the same model with the same options.`,
  );
}

function checkTokens(
  name: string,
  tokens: readonly unknown[],
  { tokenCount, contextLength }: LanguageModel,
): asserts tokens is readonly number[] {
  if (!tokens.every((id) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < tokenCount)) {
    throw damaged(name, "has ids that are not in the vocabulary");
  }
  if (tokens.length > contextLength) {
    throw new ConversationError(
      `${name} holds ${tokens.length} tokens, and the context ${contextLength}: load the model with a longer context.`,
    );
  }
}

/** Of the tokenizers seen so far: what each id is, as a checksum. */
const sums = new WeakMap<Tokenizer, number>();

function identityOf(tokenizer: Tokenizer): Identity {
  let sum = sums.get(tokenizer);
  if (sum === undefined) {
    const texts = Array.from({ length: tokenizer.size }, (_, id) =>
      tokenizer.decode([id], { special: true }),
    );
    sum = crc32(new TextEncoder().encode(texts.join("\n")));
    sums.set(tokenizer, sum);
  }
  return { "size of the tokenizer": tokenizer.size, "checksum of the tokenizer": sum };
}

/** The CRC-32 of bytes that come in pieces. */
class RunningSum {
  value = 0;

  add(bytes: Uint8Array): void {
    this.value = (shiftCrc32(this.value, bytes.length) ^ crc32(bytes)) >>> 0;
  }
}
