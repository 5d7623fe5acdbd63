import { DeviceError } from "../src/errors.ts";

type Dawn = typeof import("webgpu");

/** Dawn's package is 130 MB of native code, which nobody needs for a page: it is installed beside this one or not. */
const loaded = await import("webgpu").catch((cause: unknown) => ({ cause }));

/** @throws DeviceError that says what to install. */
export function loadDawn(): Dawn {
  if (!("cause" in loaded)) return loaded;
  const { cause } = loaded;
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new DeviceError(
    cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND"
      ? 'The package "webgpu" is not installed, which brings WebGPU to Node; run "npm install webgpu" beside ziya-webgpu.'
      : `The package "webgpu", which brings WebGPU to Node, does not load here (${reason}). Install it anew with "npm install webgpu", on a system that it has a build for.`,
    { cause },
  );
}
