import { expect, test } from "vitest";
import { medianRatio, takeTurns } from "../../../bench/peers/turns.ts";

test("entrants take turns, one after another, and the first turn of each does not count", async () => {
  const order: string[] = [];
  let computing = 0;
  let time = 0;
  const entrant = (name: string) => ({
    name,
    async turn() {
      expect(++computing).toBe(1);
      await Promise.resolve();
      computing--;
      order.push(name);
      return time++;
    },
  });
  expect(await takeTurns([entrant("a"), entrant("b")], 2)).toEqual([
    [2, 4],
    [3, 5],
  ]);
  expect(order.join("")).toBe("ababab");
});

test("the ratio is that of neighbours: a machine that slows down meets both alike", () => {
  expect(medianRatio([20, 40, 80], [10, 20, 40])).toBe(2);
  expect(medianRatio([10, 90, 30], [10, 30, 10])).toBe(3);
});
