/// <reference path="./globals.d.ts" />
export * from "../dist/web/index.js";
