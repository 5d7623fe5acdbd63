import type { ModelSource, RemoteModel } from "../api.ts";

/** A source with addresses that a worker understands, which does not know the page's own. */
export function absolute(source: ModelSource): ModelSource {
  if (typeof source === "string" || source instanceof URL) return absoluteModel({ url: source });
  return "url" in source ? absoluteModel(source) : source;
}

export function absoluteModel(model: string | URL | RemoteModel): RemoteModel {
  if (typeof model === "string" || model instanceof URL) return absoluteModel({ url: model });
  return { ...model, url: new URL(model.url, document.baseURI).href };
}
