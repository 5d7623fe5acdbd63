import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { withoutWithheld } from "../../web/store/withheld.ts";

const FOLDER = "https://elsewhere.example/models/tiny/";
const OPTIONAL = "generation_config.json";

/** What a server answers of a file: a status, or nothing that a page may see. */
type Answer = number | "nothing";

beforeEach(() => {
  vi.stubGlobal("location", { origin: "https://page.example" });
  vi.stubGlobal("navigator", { onLine: true });
});
afterEach(() => void vi.unstubAllGlobals());

/** Files in turn, each from a server that answers its requests so, one after the other and at last always the last. */
async function fetched(server: Record<string, Answer[]>, names: readonly string[], folder = FOLDER) {
  const asked: string[] = [];
  const withheld: string[] = [];
  const answers = new Map(Object.entries(server).map(([name, all]) => [name, [...all]]));
  const fetch = withoutWithheld(
    new URL(folder),
    async (url) => {
      const name = url.slice(folder.length);
      asked.push(name);
      const left = answers.get(name)!;
      const answer = left.length > 1 ? left.shift()! : left[0]!;
      if (answer === "nothing") throw new TypeError("Failed to fetch");
      return new Response("{}", { status: answer });
    },
    (name) => withheld.push(name),
  );
  const came: Answer[] = [];
  for (const name of names) {
    came.push(
      await fetch(folder + name, { headers: { authorization: "Bearer x" } }).then(
        ({ status }) => status,
        () => "nothing" as const,
      ),
    );
  }
  return { came, asked, withheld };
}

test("an optional file that is refused twice, while the config comes, is missing", async () => {
  const { came, asked, withheld } = await fetched({ [OPTIONAL]: ["nothing"], "config.json": [206] }, [
    OPTIONAL,
  ]);
  expect(came).toEqual([404]);
  expect(asked).toEqual([OPTIONAL, "config.json", OPTIONAL]);
  expect(withheld).toEqual([OPTIONAL]);
});

test.each([
  ["that comes the second time", { [OPTIONAL]: ["nothing", 200], "config.json": [200] }, [200]],
  ["of a server that gives no config", { [OPTIONAL]: ["nothing"], "config.json": ["nothing"] }, ["nothing"]],
  ["of a server that refuses the config", { [OPTIONAL]: ["nothing"], "config.json": [403] }, ["nothing"]],
] as const)("an optional file %s is not missing", async (_, server, wanted) => {
  const { came, withheld } = await fetched(server as never, [OPTIONAL]);
  expect(came).toEqual(wanted);
  expect(withheld).toEqual([]);
});

test("a shard, a config and a file that came before are never missing", async () => {
  const server: Record<string, Answer[]> = {
    "config.json": [200, "nothing", 200],
    "model-1.safetensors": ["nothing"],
    [OPTIONAL]: [200, "nothing"],
  };
  const { came, withheld } = await fetched(server, [
    "config.json",
    "config.json",
    "model-1.safetensors",
    OPTIONAL,
    OPTIONAL,
  ]);
  expect(came).toEqual([200, "nothing", "nothing", 200, "nothing"]);
  expect(withheld).toEqual([]);
});

test("a server that lets a page see a 404 withholds nothing", async () => {
  const server: Record<string, Answer[]> = {
    "chat_template.jinja": [404],
    [OPTIONAL]: ["nothing"],
    "config.json": [200],
  };
  const { came, withheld } = await fetched(server, ["chat_template.jinja", OPTIONAL]);
  expect(came).toEqual([404, "nothing"]);
  expect(withheld).toEqual([]);
});

test("nothing is missing of the page's own server, nor where the browser knows of no network", async () => {
  const server: Record<string, Answer[]> = { [OPTIONAL]: ["nothing"], "config.json": [200] };
  expect((await fetched(server, [OPTIONAL], "https://page.example/tiny/")).came).toEqual(["nothing"]);
  vi.stubGlobal("navigator", { onLine: false });
  expect((await fetched(server, [OPTIONAL])).came).toEqual(["nothing"]);
});
