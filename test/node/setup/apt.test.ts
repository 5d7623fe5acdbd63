import { describe, expect, test } from "vitest";
import { backportsSource, codename, mesaVersion } from "../../../node/setup/apt.mjs";

const DEB822 = `Types: deb
# a comment between fields
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
`;

describe("the apt source of backports", () => {
  test("comes from the deb822 stanza of the release's main suite", () => {
    expect(backportsSource([{ name: "debian.sources", text: DEB822 }], "bookworm")).toEqual({
      suffix: ".sources",
      text: `Types: deb
URIs: http://mirror.example.org/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`,
    });
  });

  test("keeps options, several addresses and a key within the stanza", () => {
    const text = `Types: deb deb-src
URIs: http://a.example.org/debian
 http://b.example.org/debian
Suites: bookworm
Components: main
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 aGVsbG8=
 -----END PGP PUBLIC KEY BLOCK-----
`;
    expect(backportsSource([{ name: "x.sources", text }], "bookworm")?.text).toBe(`Types: deb
URIs: http://a.example.org/debian
 http://b.example.org/debian
Suites: bookworm-backports
Components: main
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 aGVsbG8=
 -----END PGP PUBLIC KEY BLOCK-----
`);
  });

  test("comes from a line of sources.list, with its options", () => {
    const text = `# deb http://old.example.org/debian bookworm main
deb-src http://mirror.example.org/debian bookworm main
deb http://mirror.example.org/debian-security bookworm-security main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example.org/debian bookworm main non-free # ours
`;
    expect(backportsSource([{ name: "/etc/apt/sources.list", text }], "bookworm")).toEqual({
      suffix: ".list",
      text: "deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example.org/debian bookworm-backports main\n",
    });
  });

  test("takes the first file that has one", () => {
    const files = [
      { name: "empty.list", text: "" },
      { name: "sources.list", text: "deb http://one.example.org/debian bookworm main\n" },
      { name: "debian.sources", text: DEB822 },
    ];
    expect(backportsSource(files, "bookworm")?.text).toContain("http://one.example.org/");
  });

  test.each([
    ["another release", "deb http://mirror.example.org/debian trixie main", "a.list"],
    ["another component", "deb http://mirror.example.org/tool bookworm stable", "a.list"],
    ["source packages", DEB822.replaceAll("Types: deb", "Types: deb-src"), "a.sources"],
    ["a disabled stanza", DEB822.replace("Types: deb", "Enabled: no\nTypes: deb"), "a.sources"],
  ])("does not come from %s", (_, text, name) => {
    expect(backportsSource([{ name, text }], "bookworm")).toBeUndefined();
  });
});

test("the release's code name is read from os-release", () => {
  expect(codename('NAME="Debian GNU/Linux"\nVERSION_CODENAME=bookworm\nID=debian\n')).toBe("bookworm");
  expect(codename("NAME=Other\n")).toBe("");
});

test("Mesa's version is read from apt's candidate", () => {
  const policy = (candidate: string) =>
    `mesa-vulkan-drivers:\n  Installed: (none)\n  Candidate: ${candidate}\n`;
  expect(mesaVersion(policy("22.3.6-1+deb12u1"))).toBe(22);
  expect(mesaVersion(policy("25.0.7-2~bpo12+1"))).toBe(25);
  expect(mesaVersion(policy("(none)"))).toBe(0);
  expect(mesaVersion("")).toBe(0);
});
