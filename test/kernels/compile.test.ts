import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DawnHost, dawnHost } from "../../node/host.ts";
import { argmax } from "../../src/kernels/argmax.ts";
import { attention } from "../../src/kernels/attention.ts";
import { columnSquares } from "../../src/kernels/column_squares.ts";
import { type Gpu, openDevice, RUNGS } from "../../src/kernels/device.ts";
import { embed } from "../../src/kernels/embed.ts";
import { compile } from "../../src/kernels/kernel.ts";
import { matmul, matvec } from "../../src/kernels/linear.ts";
import { allocateMatrix } from "../../src/kernels/matrix.ts";
import { rmsNorm } from "../../src/kernels/rmsnorm.ts";
import { rope } from "../../src/kernels/rope.ts";
import { swiglu } from "../../src/kernels/swiglu.ts";
import { topK } from "../../src/kernels/top_k.ts";

/** Dawn's null backend compiles and validates like any other and computes nothing: every variant, in no time. */
describe.each(RUNGS)("on Dawn's null backend, every kernel compiles at rung %s", (rung) => {
  let host: DawnHost;
  let gpu: Gpu;
  beforeAll(async () => {
    host = dawnHost(["backend=null"]);
    gpu = await openDevice(host, { rung });
  });
  afterAll(() => {
    gpu.destroy();
    host.release();
  });

  it.each(["f32", "f16", "q8", "q4a", "q4"] as const)("with weights stored as %s", async (format) => {
    const matrix = allocateMatrix(gpu, format, format, 70, 96);
    for (const accumulate of [false, true]) {
      await matvec(gpu, matrix, { accumulate });
      await matmul(gpu, matrix, 33, { accumulate });
    }
    await embed(gpu, matrix, 5);
    gpu.check();
  });

  it.each(["f16", "f32"] as const)("with a cache stored as %s", async (cache) => {
    for (const headDim of [32, 64, 80, 128]) {
      const shape = { heads: 8, kvHeads: 2, headDim, context: 100, cache };
      for (const tokens of [1, 40]) {
        await rope(gpu, shape, tokens);
        await attention(gpu, shape, tokens);
      }
    }
    gpu.check();
  });

  it("without weights", async () => {
    for (const last of [false, true]) await rmsNorm(gpu, 5120, 1e-6, last);
    await swiglu(gpu, 13824, 3);
    await columnSquares(gpu, 13824);
    await argmax(gpu, { vocab: 39424, limit: 39410 });
    await topK(gpu, { vocab: 39424, limit: 39410 });
    gpu.check();
  });
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
