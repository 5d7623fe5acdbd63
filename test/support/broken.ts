import { expect } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";

/** By shader file, what stands in it and what takes its place. */
export type Changes = Readonly<Record<string, readonly [find: string, replace: string]>>;

/** A device on which shaders are wrong. What others were compiled to is there already, and nothing was found wrong yet. */
export function breaking(gpu: Gpu, changes: Changes): Gpu {
  const files = Object.keys(changes);
  const isChanged = (key: string) => {
    const [, names = ""] = key.split(" ");
    return names.split("+").some((name) => files.includes(name));
  };
  return Object.create(gpu, {
    made: { value: new Map([...gpu.made].filter(([key]) => !isChanged(key))) },
    wrong: { value: new Map() },
    readShader: {
      value: async (name: string) => {
        const text = await gpu.readShader(name);
        const change = changes[name];
        if (!change) return text;
        expect(text).toContain(change[0]);
        return text.replaceAll(...change);
      },
    },
  });
}
