import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DawnHost, dawnHost } from "../../node/host.ts";
import { type Gpu, openDevice } from "../../src/gpu/device.ts";
import { missingFeatures, RUNGS } from "../../src/gpu/features.ts";
import { compile } from "../../src/gpu/kernel.ts";
import { CACHE_FORMATS, isMixed } from "../../src/kernels/cache.ts";
import { FEW } from "../../src/kernels/gemv.ts";
import { OPERATIONS } from "../../src/kernels/operations.ts";
import { ARITHMETICS } from "../../src/kernels/vector.ts";
import { type Operation, prepare, waysFor } from "../../src/kernels/way.ts";
import { WEIGHT_FORMATS } from "../../src/stored.ts";

const SLABS = WEIGHT_FORMATS.map((format) => ({
  format,
  rows: 70,
  columns: 96,
  firstRow: 0,
}));
const HEADS = CACHE_FORMATS.flatMap((cache) =>
  [32, 64, isMixed(cache) ? 96 : 80, 128].flatMap((headDim) =>
    [1, 40].map((tokens) => ({
      heads: 8,
      kvHeads: 2,
      headDim,
      context: 100,
      cache,
      page: 32,
      pages: 4,
      tokens,
    })),
  ),
);

/** What the kernels of few rows take: of several, one cache of each kind tells all. */
const VECTORS = SLABS.filter(({ format }) => format !== "f32").flatMap((slab) =>
  ARITHMETICS.flatMap((arithmetic) =>
    FEW.flatMap((tokens) =>
      HEADS.filter(
        ({ headDim, tokens: one, cache }) =>
          one === 1 && (tokens === 1 ? headDim % 32 === 0 : headDim === 128 && cache !== "f32"),
      ).map((attention) => ({ ...attention, tokens })),
    ).map((attention) => ({
      ...slab,
      ...attention,
      rows: 12 * attention.headDim,
      arithmetic,
      attention,
      eps: 1e-6,
      storedColumns: 96,
      outputs: 12 * attention.headDim,
      splits: 3,
    })),
  ),
);

/** Each operation at the shapes that link other parts, and at the 13B's widths. */
const CASES = [
  every(
    OPERATIONS.embed,
    SLABS.map((slab) => ({ ...slab, tokens: 5 })),
  ),
  every(
    OPERATIONS.linear,
    SLABS.flatMap((slab) =>
      [1, 33].flatMap((tokens) =>
        [false, true].map((accumulate) => ({ ...slab, outputs: 70, tokens, accumulate })),
      ),
    ),
  ),
  every(OPERATIONS.quantise, [{ columns: 96, tokens: 33 }]),
  every(
    OPERATIONS.linearOfQuads,
    SLABS.flatMap((slab) =>
      [false, true].map((accumulate) => ({ ...slab, outputs: 70, tokens: 33, accumulate })),
    ),
  ),
  every(OPERATIONS.rope, HEADS),
  every(OPERATIONS.attention, HEADS),
  every(OPERATIONS.mix, [{ width: 96, tokens: 3 }]),
  every(OPERATIONS.rmsnorm, [{ dim: 5120, eps: 1e-6, tokens: 3 }]),
  every(OPERATIONS.swiglu, [{ hidden: 13824, tokens: 3 }]),
  every(OPERATIONS.pick, [{ dim: 5120 }]),
  every(OPERATIONS.squares, [{ columns: 13824 }]),
  every(OPERATIONS.project, [{ columns: 13824, tokens: 128 }]),
  every(OPERATIONS.sketch, [{ columns: 13824 }]),
  every(OPERATIONS.embedGroup, VECTORS),
  every(OPERATIONS.qkv, VECTORS),
  every(OPERATIONS.attentionSplit, VECTORS),
  every(OPERATIONS.attentionMerge, VECTORS),
  every(OPERATIONS.attentionWhole, VECTORS),
  every(OPERATIONS.add, VECTORS),
  every(OPERATIONS.gate, VECTORS),
  every(OPERATIONS.head, VECTORS),
  every(OPERATIONS.argmax, [{ vocab: 39424, limit: 39410, drawn: 1 }]),
  every(OPERATIONS.topk, [{ vocab: 39424, limit: 39410, drawn: 1 }]),
  every(OPERATIONS.penalise, [{ vocab: 39424, drawn: 1 }]),
  every(
    OPERATIONS.sample,
    HEADS.map((shape) => ({ ...shape, drawn: 1 })),
  ),
  every(OPERATIONS.advance, HEADS),
];

/** Compiles every way of an operation that each shape allows, and says how many there were, and whether any was to be. */
function every<Shape>(operation: Operation<Shape, string>, shapes: readonly Shape[]) {
  const compileAll = async (gpu: Gpu) => {
    let count = 0;
    for (const shape of shapes) {
      for (const { name } of waysFor(gpu, operation, shape)) {
        await prepare(gpu, operation, shape, name);
        count += 1;
      }
    }
    return count;
  };
  const isPossible = ({ features }: Gpu) =>
    operation.ways.some(({ needs }) => missingFeatures(needs, features).length === 0);
  return { name: operation.name, compile: compileAll, isPossible };
}

/**
 * Dawn's null backend compiles and validates like any other and computes nothing: every variant, in no time, within the
 * limits that WebGPU guarantees.
 */
describe.each(RUNGS)("on Dawn's null backend, every kernel compiles at rung %s", (rung) => {
  let host: DawnHost;
  let gpu: Gpu;
  beforeAll(async () => {
    host = dawnHost(["backend=null"]);
    gpu = await openDevice(host, { rung, limits: "default" });
  });
  afterAll(() => {
    gpu.destroy();
    host.release();
  });

  it.each(CASES.map(({ name, ...operation }) => [name, operation] as const))(
    "every way of %s",
    async (_, { compile, isPossible }) => {
      expect((await compile(gpu)) > 0).toBe(isPossible(gpu));
      gpu.check();
    },
  );
});

it("compiles every operation there is", () => {
  expect(CASES.map(({ name }) => name).sort()).toEqual(
    Object.values(OPERATIONS)
      .map(({ name }) => name)
      .sort(),
  );
});

describe("a wrong kernel is refused", () => {
  let host: DawnHost;
  let gpu: Gpu;
  const shaders: Record<string, string> = {
    part: "enable subgroups;\nconst ONE = 1.0;\n",
    broken:
      "// A comment.\n@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1)\nfn main() {\n  y[0] = TWO;\n}\n",
    ahead: "// A comment.\n\nenable no_such_thing;\n",
    sound:
      "override SIZE: u32;\n@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n@compute @workgroup_size(1)\nfn main() {\n  y[0] = ONE * f32(SIZE);\n}\n",
  };
  beforeAll(async () => {
    host = dawnHost(["backend=null"]);
    gpu = await openDevice({ gpu: host.gpu, readShader: async (name) => shaders[name]! });
  });
  afterAll(() => {
    gpu.destroy();
    host.release();
  });

  it("naming file, line and column, with the line", async () => {
    const source = { label: "broken", files: ["part", "broken"], bindings: ["y"] } as const;
    await expect(compile(gpu, source)).rejects.toThrow(/broken\.wgsl:5:10: .*TWO[\s\S]*y\[0\] = TWO;/);
  });

  it("naming the place of a directive too, which is moved to the front", async () => {
    const source = { label: "ahead", files: ["part", "sound", "ahead"], bindings: ["y"] } as const;
    await expect(compile(gpu, source)).rejects.toThrow(
      /ahead\.wgsl:3:8: expected extension[\s\S]*enable no_such_thing;/,
    );
  });

  it("when its bindings differ from the shader's", async () => {
    const source = {
      label: "sound",
      files: ["part", "sound"],
      bindings: ["x", "y"],
      constants: { SIZE: 1 },
    } as const;
    await expect(compile(gpu, source)).rejects.toThrow(
      "The shader of sound binds (y), its kernel says (x, y).",
    );
  });

  it.each([{}, { SIZE: 1, SIZES: 2 }])("when its overrides are %o", async (constants) => {
    const source = { label: "sound", files: ["part", "sound"], bindings: ["y"], constants } as const;
    await expect(compile(gpu, source)).rejects.toThrow(/sound makes no pipeline with/);
  });

  it("when a const of the shader is not what the kernel says", async () => {
    const constants = { SIZE: 1, ONE: 2 };
    const source = { label: "sound", files: ["part", "sound"], bindings: ["y"], constants } as const;
    await expect(compile(gpu, source)).rejects.toThrow("The shader of sound has ONE = 1, its kernel says 2.");
    await compile(gpu, { ...source, constants: { SIZE: 1, ONE: 1 } });
  });

  it("when a const that is 0, for its kernel to say, is not said, or is what the shader does not take", async () => {
    shaders.sized =
      "const LENGTH = 0u;\n@group(0) @binding(0) var<storage, read_write> y: array<f32>;\nconst_assert LENGTH != 3u;\n@compute @workgroup_size(1)\nfn main() {\n  var all: array<f32, LENGTH>;\n  y[0] = all[0];\n}\n";
    const source = { label: "sized", files: ["sized"], bindings: ["y"] } as const;
    await compile(gpu, { ...source, constants: { LENGTH: 2 } });
    await expect(compile(gpu, { ...source, constants: { LENGTH: 3 } })).rejects.toThrow("LENGTH != 3u");
    await expect(compile(gpu, source)).rejects.toThrow("array");
  });

  it("when its grid is larger than the adapter's", async () => {
    const source = {
      label: "sound",
      files: ["part", "sound"],
      bindings: ["y"],
      constants: { SIZE: 1 },
    } as const;
    const kernel = await compile(gpu, source);
    expect(() => kernel({ y: gpu.buffer("y", 16) }, [65536])).toThrow("allows 65535 a side");
  });
});
