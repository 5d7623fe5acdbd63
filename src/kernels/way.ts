import { DeviceError, OptionError } from "../errors.ts";
import { describeAdapter } from "../gpu/adapter.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Feature, missingFeatures } from "../gpu/features.ts";
import { type Bound, type Constants, compile, type Dispatch, type Workgroups } from "../gpu/kernel.ts";
import { show } from "../show.ts";

/** One way to do an operation, as data: what it links, with which constants, on which grid, and where it may run. */
export interface Way<Shape> {
  readonly name: string;
  /** What the adapter must have. */
  readonly needs: readonly Feature[];
  /** Whether it takes a shape; left out, it takes every shape of the operation. */
  fits?(shape: Shape): boolean;
  /** Shader files without their suffix, parts first. */
  files(shape: Shape): readonly string[];
  /** The shader's overrides, and those of its `const`s that the grid depends on: tile sizes are stated here alone. */
  constants(shape: Shape): Constants;
  grid(shape: Shape): Workgroups;
}

/** What a kernel does, and every way to do it, the best first. */
export interface Operation<Shape, Binding extends string> {
  readonly name: string;
  /** The names of the bindings of every way, by rising binding number. */
  bindings(shape: Shape): readonly Binding[];
  readonly ways: readonly Way<Shape>[];
}

/** Buffers by binding. */
export type Buffers<Binding extends string> = Readonly<Record<Binding, Bound>>;

/** A way among those of all operations: the label of its dispatches. */
export function wayLabel(operation: string, way: string): string {
  return `${operation} ${way}`;
}

/** Whether a GPU has any way left to do an operation that takes every shape. */
export function hasWay(gpu: Gpu, { name, ways }: Operation<never, string>): boolean {
  return ways.some(
    (way) =>
      missingFeatures(way.needs, gpu.features).length === 0 && !gpu.wrong.has(wayLabel(name, way.name)),
  );
}

/** Of an operation, or one way of it, what was wrong on a GPU: a sentence. Undefined where nothing was. */
export function describeWrong(
  gpu: Gpu,
  { name, ways }: Operation<never, string>,
  way?: string,
): string | undefined {
  const found = ways.flatMap((known) => {
    const reason = gpu.wrong.get(wayLabel(name, known.name));
    return reason && (way === undefined || way === known.name) ? [`${known.name} (${reason})`] : [];
  });
  if (found.length === 0) return undefined;
  return `The kernel "${name}" is computed wrong by ${describeAdapter(gpu.info)}: ${found.join("; ")}.`;
}

/** The ways of an operation that a GPU and a shape allow, the best first; none that was found wrong on it. */
export function waysFor<Shape>(
  gpu: Gpu,
  operation: Operation<Shape, string>,
  shape: Shape,
): readonly Way<Shape>[] {
  return operation.ways.filter(
    ({ name, needs, fits }) =>
      missingFeatures(needs, gpu.features).length === 0 &&
      (fits?.(shape) ?? true) &&
      !gpu.wrong.has(wayLabel(operation.name, name)),
  );
}

/**
 * Compiles an operation for a shape; give it its buffers, and it records a dispatch.
 * @param name The way to take. Default: the best there is.
 * @throws OptionError when there is no such way, DeviceError when the adapter or the shape does not allow it.
 */
export async function prepare<Shape, Binding extends string>(
  gpu: Gpu,
  operation: Operation<Shape, Binding>,
  shape: Shape,
  name?: string,
): Promise<(buffers: Buffers<Binding>) => Dispatch> {
  const possible = waysFor(gpu, operation, shape);
  const way = name === undefined ? possible[0] : possible.find((known) => known.name === name);
  if (!way) {
    const names = operation.ways.map((known) => known.name);
    if (name !== undefined && !names.includes(name)) {
      throw new OptionError(`${operation.name} has no way "${name}"; it has ${names.join(", ")}.`);
    }
    const wrong = describeWrong(gpu, operation, name);
    if (wrong) {
      throw new DeviceError(
        `${wrong} There is no other way to compute it: use another browser, another adapter or a newer graphics driver.`,
      );
    }
    throw new DeviceError(
      `${operation.name} has no way${name === undefined ? "" : ` "${name}"`} for ${show(shape)} on this adapter; ` +
        `there are ${possible.map((known) => known.name).join(", ") || "none"}.`,
    );
  }
  const kernel = await compile(gpu, {
    label: wayLabel(operation.name, way.name),
    files: way.files(shape),
    bindings: operation.bindings(shape),
    constants: way.constants(shape),
  });
  const grid = way.grid(shape);
  const made = { operation: operation.name, way: way.name, shape };
  return (buffers) => ({ ...kernel(buffers, grid), made });
}
