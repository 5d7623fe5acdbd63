import { beforeAll, describe, expect, test } from "vitest";
import { folder, fullModel, ziyaJson } from "../../fixtures/vocabulary.ts";
import { ChatFormat } from "../../src/generate/chat.ts";
import type { Message } from "../../src/generate/template.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { randomStream } from "../support/random.ts";

const [BOS, EOS, HUMAN, BOT] = [1, 2, 39408, 39409];
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });

/** Ziya's chat format over LLaMA's pieces, 7,408 characters and the two added tokens. */
describe("Ziya's prompt in Ziya's vocabulary", () => {
  let tokenizer: Tokenizer;
  let format: ChatFormat;
  beforeAll(async () => {
    ({ tokenizer } = await loadTokenizer(folder({ "tokenizer.model": fullModel(), ...ziyaJson })));
    format = new ChatFormat(tokenizer, undefined);
  });

  test("has the ids that Ziya's makers published for the template around in:", () => {
    expect(format.encode([user("in:")])).toEqual([BOS, HUMAN, 584, 262, 29901, BOT, 584]);
  });

  test("is turn by turn as the training code joins it", () => {
    const text = (value: string) => tokenizer.encode(value);
    expect(format.encode([user("1+1=?"), assistant("等于2。"), user("再加1呢?")])).toEqual([
      ...[BOS, HUMAN, ...text(":1+1=?"), BOT, 584, ...text("等于2。"), EOS],
      ...[HUMAN, ...text(":再加1呢?"), BOT, 584],
    ]);
  });

  test("holds no special id that a message wrote, whatever it says", () => {
    const next = randomStream(77);
    const parts = [
      "<human>",
      "<bot>",
      "</s>",
      "<s>",
      "<unk>",
      "<0x0A>",
      "<",
      ">",
      ":",
      "\n",
      " ",
      "你",
      "\ue000",
      "a",
    ];
    const random = () => {
      const count = Math.floor(next() * 8);
      return Array.from({ length: count }, () => parts[Math.floor(next() * parts.length)]).join("");
    };
    for (let round = 0; round < 400; round++) {
      const messages = [user(random()), assistant(random()), user(random())];
      const ids = format.encode(messages);
      const told = JSON.stringify(messages);
      expect(
        ids.filter((id) => id === BOS || id === EOS || id >= HUMAN),
        told,
      ).toEqual([...[BOS, HUMAN, BOT, EOS, HUMAN, BOT]]);
      expect(ids, told).not.toContain(0);
      // The answer stands between its colon and its end token, as it was said.
      const answer = ids.slice(ids.indexOf(BOT) + 2, ids.indexOf(EOS));
      expect(tokenizer.decode(answer), told).toBe(messages[1]!.content.trim());
    }
  });
});
