/// <reference path="./globals.d.ts" />
export * from "../dist/node/index.js";
