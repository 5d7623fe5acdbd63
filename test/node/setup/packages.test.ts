import { describe, expect, test } from "vitest";
import { explainNpmFailure, isInstalled } from "../../../node/setup/packages.mjs";

const wanted = {
  packages: {
    "": { version: "0.1.0" },
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/a-other-platform": { version: "1.0.0", integrity: "sha512-o", optional: true },
  },
};

describe("installed packages", () => {
  const installed = { "node_modules/a": { version: "1.0.0", integrity: "sha512-a" } };

  test("are those of the lock file, less the optional ones of other platforms", () => {
    expect(isInstalled(wanted, { packages: installed })).toBe(true);
  });

  test.each([
    ["one is missing", {}],
    ["one has another version", { "node_modules/a": { version: "1.0.1", integrity: "sha512-a" } }],
    ["one has other content", { "node_modules/a": { version: "1.0.0", integrity: "sha512-b" } }],
    [
      "an optional one is out of date",
      { ...installed, "node_modules/a-other-platform": { version: "0.9.0" } },
    ],
  ])("are not when %s", (_, packages) => {
    expect(isInstalled(wanted, { packages })).toBe(false);
  });
});

describe("a failed npm ci", () => {
  test.each([
    [
      "npm error code ENOTFOUND\nnpm error network request to https://registry.example.org/a failed",
      "ENOTFOUND",
    ],
    ["npm error code EAI_AGAIN", "EAI_AGAIN"],
  ])("for want of a network says so", (output, code) => {
    expect(explainNpmFailure(output)).toContain(`npm cannot reach its registry (${code})`);
  });

  test("for an old lock file says how to renew it", () => {
    const output =
      "npm error code EUSAGE\nnpm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync.";
    expect(explainNpmFailure(output)).toContain('run "npm install" once');
  });

  test("for any other reason shows npm's last lines", () => {
    expect(explainNpmFailure("first\nnpm error code EWHATEVER\n")).toContain("npm error code EWHATEVER");
  });
});
