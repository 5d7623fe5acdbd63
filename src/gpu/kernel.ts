import { DeviceError, ShaderError } from "../errors.ts";
import type { Gpu } from "./device.ts";
import { type LinkedShader, link } from "./link.ts";
import type { Part } from "./part.ts";

/** One recorded dispatch: everything a replay needs, nothing to create. */
export interface Dispatch {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
  /** By binding. */
  readonly buffers: Readonly<Record<string, Bound>>;
  /** What it does, where one of the listed ways made it. */
  readonly made?: Made;
}

/** An operation, its way and the shape that it was compiled for, of which this room knows no more. */
export interface Made {
  readonly operation: string;
  readonly way: string;
  readonly shape: unknown;
}

/** The grid: workgroups in x, y and z. */
export type Workgroups = readonly [x: number, y?: number, z?: number];

/** What may be bound. */
export type Bound = GPUBuffer | Part;

/** A compiled kernel: give it a buffer per binding and a grid, and it records a dispatch. */
type Kernel<Binding extends string> = (
  buffers: Readonly<Record<Binding, Bound>>,
  workgroups: Workgroups,
) => Dispatch;

/** Values of a shader's overrides and `const`s, by name; a `const` that is 0 there has the value given here. */
export type Constants = Readonly<Record<string, number | boolean>>;

interface KernelSource<Binding extends string> {
  /** The kernel's name, in error messages and profiles. */
  readonly label: string;
  /** Shader files without their suffix, parts first. */
  readonly files: readonly string[];
  /** The names of the shader's bindings, by rising binding number. */
  readonly bindings: readonly Binding[];
  /** Overrides are set, and a `const` that is 0; of others it is checked that the shader has the same value. */
  readonly constants?: Constants;
}

/** What is made of shader files once, whatever constants they are compiled with. */
interface Shader {
  readonly module: GPUShaderModule;
  /** By rising binding number. */
  readonly bindings: readonly { readonly number: number; readonly name: string }[];
  /** The values of its numeric `const`s. */
  readonly consts: ReadonlyMap<string, number>;
}

const BINDING = /@group\(0\)\s*@binding\((\d+)\)\s*var<[^>]*>\s*(\w+)/g;
const CONST = /^const (\w+) = (-?[\d.]+)[uif]?;/gm;
/** A size that an override cannot be, of a private array or a matrix. */
const UNSET = /^const (\w+) = 0u;/gm;

/**
 * Links and compiles a kernel. Its list of bindings, and the constants that the shader states too, are compared with
 * the shader's.
 * @throws ShaderError naming file, line and column when the shader is wrong, or what differs.
 */
export async function compile<Binding extends string>(
  gpu: Gpu,
  source: KernelSource<Binding>,
): Promise<Kernel<Binding>> {
  const { label, files, bindings, constants = {} } = source;
  const linked = await gpu.once(`linked ${files.join("+")}`, () => linkFiles(gpu, files));
  const code = linked.code.replace(UNSET, (line, name) => {
    return constants[name] === undefined ? line : `const ${name} = ${constants[name]}u;`;
  });
  const sizes = [...linked.code.matchAll(UNSET)].map(([, name]) => `${name}=${constants[name!]}`);
  const made = [files.join("+"), ...sizes].join(" ");
  const shader = await gpu.once(`shader ${made}`, () => createShader(gpu, source, { ...linked, code }));
  const names = shader.bindings.map(({ name }) => name);
  if (names.join() !== bindings.join()) {
    throw new ShaderError(
      `The shader of ${label} binds (${names.join(", ")}), its kernel says (${bindings.join(", ")}).`,
    );
  }
  const overrides = overridesOf(label, shader, constants);
  const pipeline = await gpu.once(`pipeline ${made} ${JSON.stringify(overrides)}`, () =>
    createPipeline(gpu, source, shader, overrides),
  );
  const layout = pipeline.getBindGroupLayout(0);
  const most = gpu.workgroupLimit;
  return (buffers, workgroups) => {
    if (workgroups.some((count = 1) => count > most)) {
      throw new DeviceError(
        `${label} needs a grid of ${workgroups.join(" x ")} workgroups; the adapter allows ${most} a side.`,
      );
    }
    const entries = bindings.map((name, i) => {
      const bound: Bound = buffers[name];
      return {
        binding: shader.bindings[i]!.number,
        resource: "buffer" in bound ? bound : { buffer: bound },
      };
    });
    const bindGroup = gpu.device.createBindGroup({ label, layout, entries });
    return { label, pipeline, bindGroup, workgroups, buffers };
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

/** The constants that are overrides; those that are `const`s in the shader must be the same there. */
function overridesOf(label: string, { consts }: Shader, constants: Constants): Record<string, number> {
  const overrides: Record<string, number> = {};
  for (const [name, value] of Object.entries(constants)) {
    const stated = consts.get(name);
    if (stated === undefined) overrides[name] = Number(value);
    else if (stated !== value) {
      throw new ShaderError(`The shader of ${label} has ${name} = ${stated}, its kernel says ${value}.`);
    }
  }
  return overrides;
}

async function linkFiles(gpu: Gpu, files: readonly string[]): Promise<LinkedShader> {
  const texts = files.map(async (name) => {
    return { name, text: await gpu.once(`text ${name}`, () => readShader(gpu, name)) };
  });
  return link(await Promise.all(texts));
}

async function createShader(
  gpu: Gpu,
  { label, files }: KernelSource<string>,
  linked: LinkedShader,
): Promise<Shader> {
  return {
    module: await createModule(gpu, label, files.join(" + "), linked),
    bindings: [...linked.code.matchAll(BINDING)]
      .map(([, number, name]) => ({ number: Number(number), name: name! }))
      .sort((a, b) => a.number - b.number),
    consts: new Map([...linked.code.matchAll(CONST)].map(([, name, value]) => [name!, Number(value)])),
  };
}

async function createModule(
  gpu: Gpu,
  label: string,
  name: string,
  shader: LinkedShader,
): Promise<GPUShaderModule> {
  // Errors are read from the compilation info; the scope keeps them from surfacing twice.
  gpu.device.pushErrorScope("validation");
  const module = gpu.device.createShaderModule({ label: name, code: shader.code });
  const [{ messages }] = await Promise.all([module.getCompilationInfo(), gpu.device.popErrorScope()]).catch(
    (error) => gpu.explain(error),
  );
  const errors = messages.filter(({ type }) => type === "error");
  if (errors.length === 0) return module;
  const lines = shader.code.split("\n");
  const report = errors.map(({ lineNum, linePos, message }) => {
    const { file, line } = shader.origin(lineNum);
    return `${file}:${line}:${linePos}: ${message}\n  ${lines[lineNum - 1]?.trim() ?? ""}`;
  });
  throw new ShaderError(`${label} does not compile.\n${report.join("\n")}`);
}

async function createPipeline(
  gpu: Gpu,
  { label, files }: KernelSource<string>,
  { module }: Shader,
  constants: Record<string, number>,
): Promise<GPUComputePipeline> {
  try {
    return await gpu.wait(
      gpu.device.createComputePipelineAsync({
        // Matrices of one shape share a pipeline: its name is the shader's, not that of the first of them.
        label: files.join(" + "),
        layout: "auto",
        compute: { module, entryPoint: "main", constants },
      }),
    );
  } catch (error) {
    await gpu.settled();
    throw new ShaderError(
      `${label} makes no pipeline with ${JSON.stringify(constants)}: ${(error as Error).message}`,
      { cause: error },
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

/** Encodes lists of dispatches that follow one another, and submits all but the last, whose encoder it gives. */
export function encodeParts(
  device: GPUDevice,
  parts: readonly (readonly Dispatch[])[],
  label: string,
): GPUCommandEncoder {
  let encoder = device.createCommandEncoder({ label });
  for (const [i, part] of parts.entries()) {
    if (i > 0) {
      device.queue.submit([encoder.finish()]);
      encoder = device.createCommandEncoder({ label });
    }
    encode(encoder, part, label);
  }
  return encoder;
}
