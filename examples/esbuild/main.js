import { loadEngine } from "ziya-webgpu/web";

const status = document.querySelector("#status");
const answer = document.querySelector("#answer");
try {
  // A folder beside the page: models/ziya-tiny of the package, or one that `ziya convert` has written.
  const engine = await loadEngine("model/", {
    onProgress: ({ done, total }) => {
      status.textContent = total > 0 ? `${Math.floor((100 * done) / total)} %` : "…";
    },
  });
  const stream = engine.chat([{ role: "user", content: "你好,你是谁?" }], { temperature: 0 });
  for await (const piece of stream) answer.append(piece);
  status.textContent = (await stream.result).finish_reason;
} catch (error) {
  status.textContent = error.message;
}
