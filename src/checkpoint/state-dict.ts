import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import type { Dtype } from "./checkpoint.ts";
import { type Builder, describe, isOpaque, type Opaque, type PickleValue, readPickle } from "./pickle.ts";

const DIMENSION_LIMIT = 8;

/** Everything that a state dict may name; nothing of it is code here. */
const STORAGE_DTYPES: Readonly<Record<string, Dtype>> = {
  "torch.FloatStorage": "F32",
  "torch.HalfStorage": "F16",
  "torch.BFloat16Storage": "BF16",
};
const FUNCTIONS: ReadonlySet<string> = new Set([
  "collections.OrderedDict",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_parameter",
]);

interface Named extends Opaque {
  readonly kind: "name";
  readonly name: string;
}

export interface Storage extends Opaque {
  readonly kind: "storage";
  /** Its entry is `<folder>/data/<key>`. */
  readonly key: string;
  readonly dtype: Dtype;
  /** Elements. */
  readonly length: number;
}

/** A tensor as PyTorch has it: a view of a storage. Offset and strides in elements. */
export interface View extends Opaque {
  readonly kind: "tensor";
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/**
 * The tensors of a pickled state dict by name.
 * @param what the pickle's name in messages
 * @throws CheckpointError when it holds anything else, or a tensor leaves its storage.
 */
export function parseStateDict(bytes: Uint8Array, what: string): Map<string, View> {
  const value = readPickle(bytes, what, stateDictBuilder(what));
  if (!(value instanceof Map)) {
    throw new CheckpointError(
      `${what} holds ${describe(value)}; wanted a dict of tensors by name (a state dict).`,
    );
  }
  const views = new Map<string, View>();
  for (const [name, item] of value) {
    if (!isOpaque(item) || item.kind !== "tensor") {
      throw new CheckpointError(
        `${what} holds ${describe(item)} under ${show(name)}; wanted tensors only (a state dict).`,
      );
    }
    views.set(name, item as View);
  }
  return views;
}

function stateDictBuilder(what: string): Builder {
  const refuse = (found: string): never => {
    throw new CheckpointError(
      `${what} ${found}. A state dict holds tensors, and nothing else is built from a pickle: if you trust the file, ` +
        `load it in PyTorch and save its tensors alone.`,
    );
  };
  const storages = new Map<string, Storage>();
  return {
    global(name): Named {
      if (FUNCTIONS.has(name) || Object.hasOwn(STORAGE_DTYPES, name)) return { kind: "name", name };
      return refuse(`names ${show(name)}`);
    },
    persistent(id): Storage {
      if (!Array.isArray(id) || id.length !== 5) return refuse(`has the persistent id ${describe(id)}`);
      const [tag, type, key, location, length] = id as readonly PickleValue[];
      const dtype = isName(type) ? STORAGE_DTYPES[type.name] : undefined;
      const valid =
        tag === "storage" && typeof key === "string" && typeof location === "string" && isSize(length);
      if (!valid || !dtype) return refuse("has a persistent id that is no storage of F32, F16 or BF16");
      const storage = storages.get(key) ?? { kind: "storage", key, dtype, length };
      if (storage.dtype !== dtype || storage.length !== length) {
        return refuse(`uses the storage ${show(key)} as two types or lengths`);
      }
      storages.set(key, storage);
      return storage;
    },
    call(callee, args) {
      const name = isName(callee) ? callee.name : "";
      if (name === "collections.OrderedDict" && args.length === 0) return new Map();
      if (name === "torch._utils._rebuild_tensor_v2" && args.length >= 6 && args.length <= 7)
        return rebuild(args, refuse);
      if (name === "torch._utils._rebuild_parameter" && args.length === 3) {
        const tensor = args[0];
        if (isOpaque(tensor) && tensor.kind === "tensor") return tensor;
      }
      return refuse(
        `calls ${name || describe(callee)} with ${args.length} arguments, which builds no tensor`,
      );
    },
  };
}

/** _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks, metadata?) */
function rebuild(args: readonly PickleValue[], refuse: (found: string) => never): View {
  const [storage, offset, shape, given, , , metadata = null] = args;
  if (!isOpaque(storage) || storage.kind !== "storage") return refuse("builds a tensor without a storage");
  if (!isSize(offset) || !isSizes(shape) || !isSizes(given) || shape.length !== given.length) {
    return refuse("builds a tensor whose offset, shape and strides do not fit together");
  }
  if (metadata !== null) return refuse("builds a tensor that negates or conjugates its storage");
  if (shape.length > DIMENSION_LIMIT) return refuse(`builds a tensor of ${shape.length} dimensions`);
  // Nothing is a step along a dimension of one element away, and there the file may say anything.
  const strides = given.map((stride, i) => (shape[i]! > 1 ? stride : 0));
  const view: View = { kind: "tensor", storage: storage as Storage, offset, shape, strides };
  const elements = shape.reduce((product, size) => product * size, 1);
  // A tensor with more elements than its storage repeats some by strides of zero: no checkpoint does that.
  if (elements > view.storage.length || offset + span(view) > view.storage.length) {
    return refuse(
      `builds a tensor [${shape}] with strides [${strides}] from element ${offset} of a storage of ${view.storage.length}`,
    );
  }
  return view;
}

/** Elements from the first of a view to its last, both included. */
export function span({ shape, strides }: Pick<View, "shape" | "strides">): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((last, size, i) => last + (size - 1) * strides[i]!, 1);
}

/** Row-major without gaps; the stride of a dimension of one element is of no account. */
export function isContiguous({ shape, strides }: View): boolean {
  let wanted = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] === 0) return true;
    if (shape[i] !== 1 && strides[i] !== wanted) return false;
    wanted *= shape[i]!;
  }
  return true;
}

/** A view's elements in row-major order; `elements` begins with its first. */
export function gather(elements: Float32Array, { shape, strides }: View): Float32Array {
  const target = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const index = shape.map(() => 0);
  for (let i = 0, from = 0; i < target.length; i++) {
    target[i] = elements[from]!;
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d]!;
      if (++index[d]! < shape[d]!) break;
      from -= shape[d]! * strides[d]!;
      index[d] = 0;
    }
  }
  return target;
}

function isName(value: PickleValue | undefined): value is Named {
  return isOpaque(value) && value.kind === "name";
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isSizes(value: PickleValue | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize);
}
