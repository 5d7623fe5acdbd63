import { discard, type Fetch } from "../../src/checkpoint/http-body.ts";
import { OPTIONAL_FILES } from "./plan.ts";

/** A file that every checkpoint has, and the bytes of it that are asked for. */
const CERTAIN = "config.json";
const PROBE = "bytes=0-1";

/**
 * Fetches the files of a folder on a server. Many of another origin let pages read what they have, and not that they lack
 * something: nginx adds headers to a 404 only where it is told "always". A browser reports such a 404 as it does a lost network.
 * So where an optional file is refused twice, and between the two the config comes, the file is taken for missing, as by a 404.
 * A server of which a page has seen a 404 shows them all.
 * @param onWithheld is told of each file that is taken for missing
 */
export function withoutWithheld(
  base: URL,
  fetch: Fetch,
  onWithheld: (name: string) => void = () => {},
): Fetch {
  const given = new Set<string>();
  let showsMissing = base.origin === location.origin;
  const addressOf = (name: string) => base.href + name;

  async function ask(url: string, init: RequestInit | undefined): Promise<Response> {
    const response = await fetch(url, init);
    if (response.ok) given.add(url);
    else showsMissing ||= response.status === 404 || response.status === 410;
    return response;
  }

  async function comes(url: string, init: RequestInit | undefined): Promise<boolean> {
    const headers = new Headers(init?.headers);
    headers.set("range", PROBE);
    const response = await ask(url, { ...init, headers }).catch(() => undefined);
    if (response) await discard(response);
    return response?.ok ?? false;
  }

  return async (url, init) => {
    try {
      return await ask(url, init);
    } catch (error) {
      const name = OPTIONAL_FILES.find((name) => addressOf(name) === url);
      const refused = (error: unknown) => error instanceof TypeError && navigator.onLine;
      if (name === undefined || given.has(url) || !refused(error)) throw error;
      if (!(await comes(addressOf(CERTAIN), init)) || showsMissing) throw error;
      return ask(url, init).catch((again: unknown) => {
        if (!refused(again)) throw again;
        onWithheld(name);
        return new Response(null, { status: 404 });
      });
    }
  };
}
