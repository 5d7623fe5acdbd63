/** What of trusted types is used: the page's types have none. */
interface TrustedTypes {
  createPolicy(name: string, rules: { readonly createScriptURL: (url: string) => string }): unknown;
}

/**
 * Lets scripts run that are files of the page's own server, which its workers are, and no others; text is never one.
 * Called before anything starts a worker.
 */
export function trustOwnScripts(): void {
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  trustedTypes?.createPolicy("default", {
    createScriptURL(url) {
      if (new URL(url, document.baseURI).origin === location.origin) return url;
      throw new TypeError(`${url} is no script of this page's.`);
    },
  });
}
