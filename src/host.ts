/**
 * What a host (Node, a browser page, a worker) hands to the core. `src/` never asks where it runs.
 */
export interface Host {
  /** `navigator.gpu`, or Dawn's. */
  readonly gpu: GPU;
  /** Bytes of the machine's memory, where the host knows them: what a software adapter has. */
  readonly systemMemory?: number;
  /** What to do here where WebGPU has no adapter: a sentence for people. */
  readonly adapterAdvice?: string;
  /**
   * Waits for what the GPU is at; left out, it is awaited as it is. A host whose event loop asks over and over whether it
   * is done leaves the processor to others in between.
   */
  wait?<T>(work: Promise<T>): Promise<T>;
  /** The text of `shaders/<name>.wgsl`. */
  readShader(name: string): Promise<string>;
  /** Where the host has one: what was found out about an adapter need not be found out again. */
  readonly store?: Store;
}

/** Named bytes that outlive the process. What is in it may go at any time: all of it can be made again. */
export interface Store {
  /**
   * @param name Of letters, digits and dashes.
   * @returns undefined where there is nothing of the name.
   */
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, bytes: Uint8Array): Promise<void>;
}
