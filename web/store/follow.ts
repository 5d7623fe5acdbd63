import type { TransferProgress } from "../api.ts";
import type { Report } from "./meter.ts";

const channelOf = (model: string) => new BroadcastChannel(`ziya-webgpu ${model}`);

/** Lets other tabs that wait for the same model see how far it has come. */
export function announce(model: string, report: Report): Report & { end(): void } {
  const channel = channelOf(model);
  const announced = (progress: TransferProgress) => {
    channel.postMessage(progress);
    report(progress);
  };
  return Object.assign(announced, { end: () => channel.close() });
}

/** Reports what another tab announces of a model, until it is ended. */
export function follow(model: string, report: Report): () => void {
  const channel = channelOf(model);
  channel.onmessage = ({ data }: MessageEvent<TransferProgress>) => report(data);
  return () => channel.close();
}
