/// <reference path="./globals.d.ts" />
export * from "../dist/src/index.js";
