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
  /** The text of `shaders/<name>.wgsl`. */
  readShader(name: string): Promise<string>;
}
