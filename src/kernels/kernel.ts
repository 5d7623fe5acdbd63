import { DeviceError, ShaderError } from "../errors.ts";
import type { Gpu } from "./device.ts";
import { type LinkedShader, link } from "./link.ts";

/** One recorded dispatch: everything a replay needs, nothing to create. */
export interface Dispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
}

/** The grid: workgroups in x, y and z. */
export type Workgroups = readonly [x: number, y?: number, z?: number];

/** A compiled kernel: give it a buffer per binding and a grid, and it records a dispatch. */
export type Kernel<Binding extends string> = (
  buffers: Readonly<Record<Binding, GPUBuffer>>,
  workgroups: Workgroups,
) => Dispatch;

export interface KernelSource<Binding extends string> {
  /** The kernel's name, in error messages and profiles. */
  readonly label: string;
  /** Shader files without their suffix, parts first. */
  readonly files: readonly string[];
  /** The names of the shader's bindings, by rising binding number. */
  readonly bindings: readonly Binding[];
  /** Values of the shader's overrides. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
}

const BINDING = /@group\(0\)\s*@binding\((\d+)\)\s*var<[^>]*>\s*(\w+)/g;

/**
 * Links and compiles a kernel. Its list of bindings is compared with the shader's.
 * @throws ShaderError naming file, line and column when the shader is wrong, or the bindings when they differ.
 */
export async function compile<Binding extends string>(
  gpu: Gpu,
  source: KernelSource<Binding>,
): Promise<Kernel<Binding>> {
  const { label, files, bindings, constants = {} } = source;
  const texts = await Promise.all(files.map(async (name) => ({ name, text: await readShader(gpu, name) })));
  const shader = link(texts);
  const numbers = checkBindings(label, shader.code, bindings);
  const values = Object.fromEntries(Object.entries(constants).map(([name, value]) => [name, Number(value)]));
  const key = `${files.join("+")} ${JSON.stringify(values)}`;
  let pending = gpu.pipelines.get(key);
  if (!pending) {
    pending = createPipeline(gpu, source, shader, values);
    gpu.pipelines.set(key, pending);
  }
  const pipeline = await pending;
  const layout = pipeline.getBindGroupLayout(0);
  const most = gpu.workgroupLimit;
  return (buffers, workgroups) => {
    if (workgroups.some((count = 1) => count > most)) {
      throw new DeviceError(
        `${label} needs a grid of ${workgroups.join(" x ")} workgroups; the adapter allows ${most} a side.`,
      );
    }
    const entries = bindings.map((name, i) => ({
      binding: numbers[i]!,
      resource: { buffer: buffers[name] },
    }));
    return { label, pipeline, bindGroup: gpu.device.createBindGroup({ label, layout, entries }), workgroups };
  };
}

async function readShader(gpu: Gpu, name: string): Promise<string> {
  let text: unknown;
  try {
    text = await gpu.readShader(name);
  } catch (cause) {
    throw new ShaderError(`shaders/${name}.wgsl could not be read: ${(cause as Error).message}`, { cause });
  }
  if (typeof text === "string" && text !== "") return text;
  throw new ShaderError(
    `The host's readShader("${name}") gave ${text === "" ? "an empty text" : typeof text}; wanted the text of shaders/${name}.wgsl.`,
  );
}

function checkBindings(label: string, code: string, expected: readonly string[]): number[] {
  const declared = [...code.matchAll(BINDING)]
    .map(([, number, name]) => ({ number: Number(number), name }))
    .sort((a, b) => a.number - b.number);
  const names = declared.map(({ name }) => name);
  if (names.join() !== expected.join()) {
    throw new ShaderError(
      `The shader of ${label} binds (${names.join(", ")}), its kernel says (${expected.join(", ")}).`,
    );
  }
  return declared.map(({ number }) => number);
}

async function createPipeline(
  gpu: Gpu,
  { label, files }: KernelSource<string>,
  shader: LinkedShader,
  constants: Record<string, number>,
): Promise<GPUComputePipeline> {
  // Matrices of one shape share a pipeline: its name is the shader's, not that of the first of them.
  const name = files.join(" + ");
  // Errors are read from the compilation info and the rejected promise; the scope keeps them from surfacing twice.
  gpu.device.pushErrorScope("validation");
  const module = gpu.device.createShaderModule({ label: name, code: shader.code });
  const [{ messages }] = await Promise.all([module.getCompilationInfo(), gpu.device.popErrorScope()]).catch(
    (error) => gpu.explain(error),
  );
  const errors = messages.filter(({ type }) => type === "error");
  if (errors.length > 0) {
    const lines = shader.code.split("\n");
    const report = errors.map(({ lineNum, linePos, message }) => {
      const { file, line } = shader.origin(lineNum);
      return `${file}:${line}:${linePos}: ${message}\n  ${lines[lineNum - 1]?.trim() ?? ""}`;
    });
    throw new ShaderError(`${label} does not compile.\n${report.join("\n")}`);
  }
  try {
    return await gpu.device.createComputePipelineAsync({
      label: name,
      layout: "auto",
      compute: { module, entryPoint: "main", constants },
    });
  } catch (error) {
    await gpu.settled();
    throw new ShaderError(
      `${label} makes no pipeline with ${JSON.stringify(constants)}: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

/** Encodes dispatches, in order, as one compute pass. */
export function encode(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[], label: string): void {
  const pass = encoder.beginComputePass({ label });
  let last: GPUComputePipeline | undefined;
  for (const { pipeline, bindGroup, workgroups } of dispatches) {
    if (pipeline !== last) pass.setPipeline(pipeline);
    last = pipeline;
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
  }
  pass.end();
}
