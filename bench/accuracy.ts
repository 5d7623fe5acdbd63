import { parseArgs } from "node:util";
import { measureAccuracy, readQuestions, type Score, total } from "../fixtures/accuracy.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../src/stored.ts";

const HELP = `Usage: npm run accuracy -- [options]

Greedy answers of the embedded model to its held-out questions, by skill and by weight format: the share that is
exactly the expected answer.

  --weights LIST   formats, comma-separated (default f16,q8,q4)
  --limit N        at most N questions of each skill
  --json           machine-readable results
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      weights: { type: "string", default: "f16,q8,q4" },
      limit: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const formats = values.weights.split(",") as WeightFormat[];
  const unknown = formats.find((format) => !WEIGHT_FORMATS.includes(format));
  if (unknown !== undefined)
    throw new Error(`--weights has "${unknown}"; wanted ${WEIGHT_FORMATS.join(", ")}.`);
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  if (limit !== undefined && !(Number.isInteger(limit) && limit > 0)) {
    throw new Error(`--limit is "${values.limit}"; wanted a whole number from 1 on.`);
  }
  const questions = await readQuestions(limit);
  const scores: Score[] = [];
  for (const format of formats) scores.push(await measureAccuracy(questions, format));
  if (values.json) {
    const results = formats.map((format, i) => ({
      format,
      ...total(scores[i]!),
      skills: Object.fromEntries(scores[i]!),
    }));
    console.log(JSON.stringify(results, null, 2));
    return;
  }
  const cell = ({ right, asked }: { right: number; asked: number }) =>
    `${((100 * right) / asked).toFixed(1)} % (${right}/${asked})`;
  const row = (name: string, cells: readonly string[]) => console.log(`| ${[name, ...cells].join(" | ")} |`);
  row("skill", formats);
  row(
    "---",
    formats.map(() => "---"),
  );
  for (const skill of scores[0]!.keys())
    row(
      skill,
      scores.map((score) => cell(score.get(skill)!)),
    );
  row(
    "all",
    scores.map((score) => cell(total(score))),
  );
}

if (process.argv[1]?.endsWith("accuracy.js")) {
  main().catch((error: Error) => {
    console.error(`accuracy: ${error.message}`);
    process.exitCode = 1;
  });
}
