import { httpSource } from "../src/checkpoint/http.ts";
import type { Host, OpenFile } from "../src/index.ts";

/** Where Vite serves or puts each file, by its path from here. */
const shaders = import.meta.glob<string>("../shaders/*.wgsl", { query: "?raw", import: "default" });
const modelFiles = import.meta.glob<string>("../models/ziya-tiny/*.{json,model,safetensors}", {
  query: "?url",
  import: "default",
  eager: true,
});

/**
 * This page as a host.
 * @throws Error that says what to do, where the browser offers no WebGPU.
 */
export function pageHost(): Host {
  if (!window.isSecureContext) {
    throw new Error(
      `WebGPU works on secure pages only, and ${location.origin} is not one: open the page over https or from localhost.`,
    );
  }
  if (!navigator.gpu) {
    throw new Error(
      "This browser offers no WebGPU, which the model runs on: use a current Chrome, Edge, Safari or Firefox, and switch hardware acceleration on.",
    );
  }
  const adapterAdvice =
    "Switch hardware acceleration on in the browser's settings, update the graphics driver, or use another browser.";
  return { gpu: navigator.gpu, adapterAdvice, readShader };
}

async function readShader(name: string): Promise<string> {
  const read = shaders[`../shaders/${name}.wgsl`];
  if (!read) throw new Error(`The page was built without shaders/${name}.wgsl: build it again.`);
  return read();
}

/** Opens a file of the embedded model, by range. */
export const openEmbeddedModel: OpenFile = async (name, signal) => {
  const address = modelFiles[`../models/ziya-tiny/${name}`];
  return address === undefined ? undefined : httpSource(new URL(address, document.baseURI), fetch, signal);
};
