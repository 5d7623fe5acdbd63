import { t } from "../strings/strings.ts";
import { notify } from "../ui/notices.ts";
import type { Chat } from "./chat.ts";

/**
 * Registers the service worker, by which the page opens without a network. A new version waits until the person wants it
 * and no answer runs, or until the page's last tab is closed.
 */
export async function keepOffline(chat: Chat): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  // Where the browser allows none, in some private windows, the page is fetched each time.
  const registration = await navigator.serviceWorker.register("sw.js").catch(() => undefined);
  if (!registration) return;
  const offer = () => {
    const { waiting } = registration;
    // Without a worker of an earlier visit there is nothing to replace.
    if (waiting && navigator.serviceWorker.controller) {
      notify(t().updateReady, { label: t().updateNow, run: () => void replace(waiting) }, true);
    }
  };
  let wanted = false;
  const replace = async (waiting: ServiceWorker) => {
    await chat.activity.when(({ kind }) => (kind === "idle" ? true : undefined));
    wanted = true;
    waiting.postMessage("replace");
  };
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (wanted) location.reload();
    else if (controlled)
      notify(t().updatedElsewhere, { label: t().reload, run: () => location.reload() }, true);
    controlled = true;
  });
  offer();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
}
