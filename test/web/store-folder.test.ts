import { describe, expect, test } from "vitest";
import type { FaultPoint } from "../../web/store/fault.ts";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import { type StoreTab, useStore } from "../support/store.ts";

expectBrowser();

/** Opens the folder that the tests write to. */
const OPEN = `
  if (args?.withoutMove) delete FileSystemFileHandle.prototype.move;
  const root = await navigator.storage.getDirectory();
  const directory = await root.getDirectoryHandle("test", { create: true });
  const folder = await tools.openFolder(directory);
  const text = async (name) => {
    const file = await folder.open(name);
    return file && new TextDecoder().decode(await file.read(0, file.size));
  };
`;
const WRITE = `${OPEN} await folder.replace("index", args.contents);`;
const READ = `${OPEN} return { names: await folder.list(), text: await text("index") };`;

describe.skipIf(!hasBrowser)("a folder of the origin's private file system", () => {
  let tab: StoreTab;

  useStore((parts) => {
    ({ tab } = parts);
  });

  test("has a file when it is complete, and not before", async () => {
    const seen = await tab.run(`${OPEN}
      const file = await folder.create("shard");
      await file.write(new TextEncoder().encode("one "));
      await file.write(new TextEncoder().encode("two"));
      const before = [await folder.list(), await text("shard")];
      await file.finish();
      return [...before, await folder.list(), await text("shard")];`);
    expect(seen).toEqual([[], undefined, ["shard"], "one two"]);
  });

  test("has nothing of a file that was discarded, or removed", async () => {
    const seen = await tab.run(`${OPEN}
      const file = await folder.create("shard");
      await file.write(new Uint8Array(10));
      await file.discard();
      await folder.replace("index", "a");
      await folder.remove("index");
      await folder.remove("index");
      return Array.fromAsync(directory.keys());`);
    expect(seen).toEqual([]);
  });

  test("refuses a name that leads elsewhere", async () => {
    const { failure } = await tab.call(`${OPEN} await folder.create("../state");`);
    expect(failure?.message).toBe(
      'A model names the file "../state"; wanted the plain name of a file in the same folder.',
    );
  });

  describe.each([
    ["with move", false, ["file-begun", "file-written", "file-named"]],
    [
      "without move",
      true,
      ["file-begun", "file-written", "rename-marked", "rename-emptied", "rename-copied", "file-named"],
    ],
  ] as [string, boolean, FaultPoint[]][])("%s", (_, withoutMove, points) => {
    test.each(points)("has the old or the new contents where its worker ends at %s", async (point) => {
      await tab.run(WRITE, { contents: "old", withoutMove });
      const outcome = await tab.callUntil(point, WRITE, { contents: "new", withoutMove });
      expect(outcome.ended).toBe(true);
      const named = !["file-begun", "file-written"].includes(point);
      const after = { names: ["index"], text: named ? "new" : "old" };
      expect(await tab.run(READ, { withoutMove })).toEqual(after);
      await tab.run(WRITE, { contents: "newer", withoutMove });
      expect(await tab.run(READ, { withoutMove })).toEqual({ names: ["index"], text: "newer" });
    });
  });

  test("removes what workers that were ended have left", async () => {
    await tab.callUntil("file-begun", WRITE, { contents: "lost" });
    const seen = await tab.run(`${OPEN}
      const before = (await Array.fromAsync(directory.keys())).length;
      await tools.removePartials(directory);
      return [before, await Array.fromAsync(directory.keys())];`);
    expect(seen).toEqual([1, []]);
  });
});
