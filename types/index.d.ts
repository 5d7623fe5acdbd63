// For TypeScript below 6, whose own types of the page lack WebGPU; from 6 on the two would contradict each other.
/// <reference types="@webgpu/types" />
export * from "../dist/src/index.js";
