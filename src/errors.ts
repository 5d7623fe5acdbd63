/**
 * The typed errors of the runtime. Each message is a sentence with the evidence: what was wanted, what was
 * found, what to do. `code` is stable, for programs; `message` is for people.
 */
export abstract class ZiyaError extends Error {
  abstract readonly code: string;
  constructor(message: string, options?: ErrorOptions) {
    super(shorten(message), options);
    this.name = new.target.name;
  }
}

/**
 * Characters of a message: what is found in a file is quoted in many, and a name there may have a megabyte. The end stays,
 * which says what to do.
 */
const MOST_MESSAGE = { head: 3000, tail: 1000 };

function shorten(message: string): string {
  const { head, tail } = MOST_MESSAGE;
  const rest = message.length - head - tail;
  if (rest <= 0) return message;
  return `${message.slice(0, head)} […${rest} characters more…] ${message.slice(-tail)}`;
}

/** Bytes of a checkpoint that cannot be believed, or tensors that do not fit the config. */
export class CheckpointError extends ZiyaError {
  readonly code = "checkpoint";
}

/** Bytes that are wanted, and those that there are, as far as it is known. */
export interface Room {
  readonly need?: number;
  readonly free?: number;
}

/** A file or folder that cannot be read or written as asked: a full disk, no permission, or files that are not its own. */
export class StorageError extends ZiyaError {
  readonly code = "storage";
  /** Where there is too little of it. */
  declare readonly room?: Room;
  constructor(
    message: string,
    { room, ...options }: ErrorOptions & { readonly room?: Room | undefined } = {},
  ) {
    super(message, options);
    if (room) this.room = room;
  }
}

/** A `config.json` that asks for what this runtime does not do, or that contradicts itself. */
export class ConfigError extends ZiyaError {
  readonly code = "config";
}

/** A tokenizer file that cannot be read, or ids outside the vocabulary. */
export class TokenizerError extends ZiyaError {
  readonly code = "tokenizer";
}

/** An option that is unknown, of the wrong type or out of range. */
export class OptionError extends ZiyaError {
  readonly code = "option";
}

/** No adapter, a limit too small, or an error that WebGPU reported. */
export class DeviceError extends ZiyaError {
  readonly code = "device";
}

/** The GPU device is gone (driver reset, out of memory, destroyed): load the model again. */
export class DeviceLostError extends ZiyaError {
  readonly code = "device-lost";
}

/** A shader that does not compile, or a pipeline that does not fit it. */
export class ShaderError extends ZiyaError {
  readonly code = "shader";
}

/** More tokens than the KV cache holds. */
export class ContextOverflowError extends ZiyaError {
  readonly code = "context-overflow";
}

/** Logits that are no numbers: a wrong kernel, a broken driver or a damaged checkpoint. Never a token. */
export class LogitsError extends ZiyaError {
  readonly code = "logits";
}

/** A saved conversation that cannot be believed, or that another model or cache has left. */
export class ConversationError extends ZiyaError {
  readonly code = "conversation";
}

/** More requests than may wait, or a pass beside one that runs. */
export class BusyError extends ZiyaError {
  readonly code = "busy";
}
