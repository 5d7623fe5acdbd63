/**
 * What a host (Node, a browser page, a worker) hands to the core. `src/` never asks where it runs.
 */
export interface Host {
  /** `navigator.gpu`, or Dawn's. The host keeps it referenced: Dawn aborts the process when it is collected. */
  readonly gpu: GPU;
  /** Bytes of the machine's memory, where the host knows them: what a software adapter has. */
  readonly systemMemory?: number;
  /** The text of `shaders/<name>.wgsl`. */
  readShader(name: string): Promise<string>;
}
