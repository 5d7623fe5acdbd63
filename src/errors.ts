/**
 * The typed errors of the runtime. Each message is a sentence with the evidence: what was wanted, what was
 * found, what to do. `code` is stable, for programs; `message` is for people.
 */
export class ZiyaError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(shorten(message), options);
    this.name = new.target.name;
    this.code = code;
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
  constructor(message: string, options?: ErrorOptions) {
    super("checkpoint", message, options);
  }
}

/** A file or folder that cannot be read or written as asked: a full disk, no permission, or files that are not its own. */
export class StorageError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("storage", message, options);
  }
}

/** A `config.json` that asks for what this runtime does not do, or that contradicts itself. */
export class ConfigError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("config", message, options);
  }
}

/** A tokenizer file that cannot be read, or ids outside the vocabulary. */
export class TokenizerError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("tokenizer", message, options);
  }
}

/** An option that is unknown, of the wrong type or out of range. */
export class OptionError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("option", message, options);
  }
}

/** No adapter, a limit too small, or an error that WebGPU reported. */
export class DeviceError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("device", message, options);
  }
}

/** The GPU device is gone (driver reset, out of memory, destroyed): load the model again. */
export class DeviceLostError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("device-lost", message, options);
  }
}

/** A shader that does not compile, or a pipeline that does not fit it. */
export class ShaderError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("shader", message, options);
  }
}

/** More tokens than the KV cache holds. */
export class ContextOverflowError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("context-overflow", message, options);
  }
}

/** Logits that are no numbers: a wrong kernel, a broken driver or a damaged checkpoint. Never a token. */
export class LogitsError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("logits", message, options);
  }
}

/** An engine that is asked for a second answer while it gives one. */
export class BusyError extends ZiyaError {
  constructor(message: string, options?: ErrorOptions) {
    super("busy", message, options);
  }
}
