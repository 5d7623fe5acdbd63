import type { Gpu } from "../../src/gpu/device.ts";
import { type Feature, MATRIX_SIZES, type MatrixSize } from "../../src/gpu/features.ts";

const ENABLED = "enable chromium_experimental_subgroup_matrix;";
const BUILTINS = "  @builtin(subgroup_id) subgroup: u32,\n  @builtin(num_subgroups) subgroups: u32,\n) {";
/** `subgroupMatrixLoad<Left, row_major>(&tile[i], at, stride)`, the index left out or not, and likewise a store. */
const LOAD = /subgroupMatrixLoad<(\w+), (row|col)_major>\(&(\w+)(?:\[(\w+)\])?, /g;
const STORE = /subgroupMatrixStore<row_major>\(&(\w+), /g;
/** Ends of loops over matrices. Were they known, all would be unrolled, which takes a minute to compile. */
const ENDS = /< (DOWN \* ACROSS|DOWN|ACROSS|OCTETS|MOST_LEFT|MOST_SUMS|KEYS \/ K|4u);/g;
const ZEROS = /array<Sums, ([^<>()]+)>\(\)/g;

/** The most matrices that are in use of those that one place of a shader loads: 128 columns of them. */
const IN_USE = { Left: 16, Right: 1, Sums: 16 } as const;
/** And of sums that begin as zeros. */
const MOST_SUMS = 16;
type Type = keyof typeof IN_USE;

/** Floats that y has to have besides. */
export const SPARE = 4 * 1024 * 1024;
/** Lanes that may have a block. */
const LANES = 32;

/**
 * The same GPU, as if its subgroups had 64 lanes and multiplied matrices of a size: the shaders that do are rewritten so that each lane is a
 * subgroup, which loads, multiplies and stores matrices by loops, at the end of y: it has to have SPARE more
 * floats, since what is private is laid out number by number, and takes minutes to compile. All else is computed as it stands.
 * @param most How many subgroups the shader is told that there are.
 */
export function emulateMatrices(gpu: Gpu, feature: Feature, most = 256): Gpu {
  const features = new Set<Feature>([...gpu.features, "wide", feature]);
  const readShader = async (name: string) => {
    const text = await gpu.readShader(name);
    if (name === "matrices") return TYPES;
    return text.includes(ENABLED) ? rewrite(text, MATRIX_SIZES.get(feature)!, most) : text;
  };
  return Object.create(gpu, {
    features: { value: features },
    readShader: { value: readShader },
    made: { value: new Map() },
  });
}

/** In place of matrices.wgsl: a matrix is where its numbers stand, row after row, of Right column after column. */
const TYPES = `
const M = 0u;
const N = 0u;
const K = 0u;
alias Left = u32;
alias Right = u32;
alias Sums = u32;
`;

/** Loads, stores and arrays of zeros become calls of functions, one for each place, which are put at the end. */
function rewrite(text: string, { M, N, K }: MatrixSize, most: number): string {
  if (!text.includes(BUILTINS)) throw new Error("The shader's main has other builtins than are replaced.");
  const sides = { Left: [M, K], Right: [N, K], Sums: [M, N] } as const;
  const functions = [multiplying({ M, N, K })];
  let room = 0;
  const take = (size: number) => {
    room += size;
    return room - size;
  };
  const calls = text
    .replace(ENDS, "< $1 + (rows.count >> 31u);")
    .replace(LOAD, (_, type: Type, major, name, part = "0u") => {
      if (major !== (type === "Right" ? "col" : "row")) throw new Error(`${type} is loaded by ${major}.`);
      const [lines, width] = sides[type];
      const size = lines * width;
      const call = `load${functions.length}`;
      const first = take(size * IN_USE[type]);
      const value = accessed(text, name, type === "Sums" ? 1 : 2);
      functions.push(`
var<private> next_${call}: u32;
fn ${call}(part: u32, at: u32, stride: u32) -> u32 {
  let made = ${first}u + next_${call} % ${IN_USE[type]}u * ${size}u;
  next_${call}++;
  for (var line = 0u; line < ${lines}u; line++) {
    for (var i = 0u; i < ${width}u; i++) {
      let place = (at + line * stride) * ${value.perElement}u + i;
      setNumber(made + line * ${width}u + i, ${value.read});
    }
  }
  return made;
}
`);
      return `${call}(${part}, `;
    })
    .replace(STORE, (_, name) => {
      const call = `store${functions.length}`;
      const { perElement, write } = accessed(text, name, 1);
      functions.push(`
fn ${call}(at: u32, sums: u32, stride: u32) {
  for (var i = 0u; i < ${M * N}u; i++) {
    let place = (at + i / ${N}u * stride) * ${perElement}u + i % ${N}u;
    let value = numberAt(sums + i);
    ${write}
  }
}
`);
      return `${call}(`;
    })
    .replace(ZEROS, (_, count) => {
      const call = `zeros${functions.length}`;
      const first = take(M * N * MOST_SUMS);
      functions.push(`
fn ${call}() -> array<u32, ${count}> {
  var made: array<u32, ${count}>;
  for (var i = 0u; i < ${M * N}u * (${count}); i++) {
    made[i / ${M * N}u] = ${first}u + i / ${M * N}u * ${M * N}u;
    setNumber(${first}u + i, 0.0);
  }
  return made;
}
`);
      return `${call}()`;
    });
  const isOfVectors = /read_write> y: array<vec4f>/.test(text);
  const at = isOfVectors ? "y[i / 4u][i % 4u]" : "y[i]";
  const place = `let i = end - (own + 1u) * ${room}u + at;`;
  const begin = `) {
  let subgroup = lane;
  let subgroups = ${most}u;
  own = (workgroup.y * grid.x + workgroup.x) * ${LANES}u + lane;
  isThere = lane < ${LANES}u;
  end = arrayLength(&y)${isOfVectors ? " * 4u" : ""};
`;
  return `${calls.replace(ENABLED, "").replace(BUILTINS, `  @builtin(num_workgroups) grid: vec3u,\n${begin}`)}
var<private> own: u32;
var<private> isThere: bool;
var<private> end: u32;
fn numberAt(at: u32) -> f32 {
  ${place}
  return ${at};
}
fn setNumber(at: u32, value: f32) {
  ${place}
  if (isThere) {
    ${at} = value;
  }
}
${functions.join("")}`;
}

function multiplying({ M, N, K }: MatrixSize): string {
  return `
fn subgroupMatrixMultiplyAccumulate(left: u32, right: u32, sums: u32) -> u32 {
  for (var i = 0u; i < ${M * N}u; i++) {
    var sum = numberAt(sums + i);
    for (var k = 0u; k < ${K}u; k++) {
      sum += numberAt(left + i / ${N}u * ${K}u + k) * numberAt(right + i % ${N}u * ${K}u + k);
    }
    setNumber(sums + i, sum);
  }
  return sums;
}
`;
}

/** How a number of a workgroup array is read and written at `place`; two of them are in a word, or one. */
function accessed(text: string, name: string, perWord: 1 | 2) {
  const found = new RegExp(`var<workgroup> ${name}: (array<array<|array<)vec([24])([uf]),`).exec(text);
  if (!found) throw new Error(`The shader has no array ${name}.`);
  const [, kind, count, type] = found;
  const words = Number(count);
  const array = kind === "array<" ? name : `${name}[part]`;
  const word = perWord === 2 ? "place / 2u" : "place";
  const at = `${array}[${word} / ${words}u][${word} % ${words}u]`;
  const bits = `bitcast<u32>(${at})`;
  return {
    perElement: perWord * words,
    read: perWord === 2 ? `unpack2x16float(${bits})[place % 2u]` : `bitcast<f32>(${bits})`,
    write: `${at} = ${type === "u" ? "bitcast<u32>(value)" : "value"};`,
  };
}
