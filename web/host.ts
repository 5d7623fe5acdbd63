import { DeviceError, type Host, type Store } from "../src/index.ts";
import { shaders } from "./shaders.ts";

/**
 * This page, or this worker, as a host of an engine that runs in it.
 * @throws DeviceError that says what to do, where the browser offers no WebGPU.
 */
export function webHost(): Host {
  if (!globalThis.isSecureContext) {
    throw new DeviceError(
      `WebGPU works on secure pages only, and ${location.origin} is not one: open the page over https or from localhost.`,
    );
  }
  if (!navigator.gpu) {
    throw new DeviceError(
      "This browser offers no WebGPU, which the model runs on: use a current Chrome, Edge, Safari or Firefox, and switch hardware acceleration on.",
    );
  }
  const adapterAdvice =
    "Switch hardware acceleration on in the browser's settings, update the graphics driver, or use another browser.";
  return { gpu: navigator.gpu, adapterAdvice, readShader, store: cacheStore };
}

async function readShader(name: string): Promise<string> {
  const text = shaders[`../shaders/${name}.wgsl`];
  if (text === undefined)
    throw new DeviceError(`The script was built without shaders/${name}.wgsl: build it again.`);
  return text;
}

const CACHE = "ziya-webgpu";

/** Requests that nobody makes: a cache's keys are addresses. */
const keyOf = (name: string) => new URL(`/${CACHE}/${name}`, location.origin);

/** The browser's cache of the origin, which a page and its workers share: what is in it may go at any time. */
const cacheStore: Store = {
  async read(name) {
    const found = await (await caches.open(CACHE)).match(keyOf(name));
    return found && new Uint8Array(await found.arrayBuffer());
  },
  async write(name, bytes) {
    await (await caches.open(CACHE)).put(keyOf(name), new Response(new Uint8Array(bytes)));
  },
};
