import {
  BusyError,
  CheckpointError,
  ConfigError,
  ContextOverflowError,
  ConversationError,
  DeviceError,
  DeviceLostError,
  LogitsError,
  OptionError,
  type Room,
  ShaderError,
  StorageError,
  TokenizerError,
  ZiyaError,
} from "./errors.ts";

/** An error, as far as it survives the way between threads. */
export interface Failure {
  /** Of a ZiyaError its code, of what the platform throws its name ("AbortError"); whatever else is a mistake in the program. */
  readonly code?: string;
  readonly name?: string;
  readonly message: string;
  /** Of a StorageError. */
  readonly room?: Room;
}

const ERRORS = [
  CheckpointError,
  StorageError,
  ConfigError,
  TokenizerError,
  OptionError,
  DeviceError,
  DeviceLostError,
  ShaderError,
  ContextOverflowError,
  LogitsError,
  ConversationError,
  BusyError,
];

export function failureOf(error: unknown): Failure {
  if (error instanceof StorageError && error.room)
    return { code: error.code, message: error.message, room: error.room };
  if (error instanceof ZiyaError) return { code: error.code, message: error.message };
  if (error instanceof DOMException) return { name: error.name, message: error.message };
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { message: stack ?? message };
}

/** The error that another thread had. */
export function revive({ code, name, message, room }: Failure): Error {
  if (name !== undefined) return new DOMException(message, name);
  for (const Known of ERRORS) {
    const error = new Known(message, { room });
    if (error.code === code) return error;
  }
  return new Error(message);
}
