/** The parts of the peers' packages that are used here: they are not installed where the rest is type-checked. */

declare module "node-llama-cpp" {
  interface Next {
    readonly logits?: Map<number, number>;
  }
  interface Sequence {
    controlledEvaluate(
      input: (readonly [
        token: number,
        { generateNext: { logits: boolean; options: Record<string, number> } },
      ])[],
    ): Promise<({ readonly next: Next } | undefined)[]>;
    clearHistory(): Promise<void>;
  }
  interface Context {
    getSequence(): Sequence;
  }
  interface Model {
    readonly fileInfo: { readonly metadata: { readonly llama: { readonly vocab_size: number } } };
    createContext(options: Record<string, unknown>): Promise<Context>;
  }
  interface Llama {
    loadModel(options: { modelPath: string }): Promise<Model>;
    dispose(): Promise<void>;
  }
  interface TensorInfo {
    readonly dimensions: readonly (number | bigint)[];
    readonly ggmlType: number;
  }
  export function getLlama(options: Record<string, unknown>): Promise<Llama>;
  export function readGgufFileInfo(
    path: string,
  ): Promise<{ readonly fullTensorInfo?: readonly TensorInfo[] }>;
}

declare module "koffi" {
  type CType = string | object;
  interface Library {
    // A C function's arguments and result are what the caller says they are.
    func(name: string, result: CType, parameters: CType[]): (...values: unknown[]) => never;
    func(declaration: string): (...values: unknown[]) => never;
  }
  const koffi: {
    load(path: string, options?: { global: boolean }): Library;
    struct(name: string, fields: Record<string, CType>): object;
    pointer(type: object): object;
    address(value: unknown): bigint;
    decode(pointer: unknown, type: CType, length: number): number[];
  };
  export default koffi;
}
