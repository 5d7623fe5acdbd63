import { Archive } from "./state/archive.ts";
import { Chat } from "./state/chat.ts";
import { preferences } from "./state/preferences.ts";
import { Session } from "./state/session.ts";
import { remember, remembered } from "./state/tab.ts";
import { keepOffline } from "./state/update.ts";
import { preferredLanguage, setLanguage } from "./strings/strings.ts";
import { trustOwnScripts } from "./trusted.ts";
import { mountNotices } from "./ui/notices.ts";
import { makeApp } from "./view/app.ts";

trustOwnScripts();
const archive = await Archive.open();
const session = new Session();
const chat = new Chat(archive, session);

let gone = new AbortController();
let mounted: HTMLElement | undefined;
let shownLanguage: string | undefined;

preferences.listen(new AbortController().signal, ({ language, theme }) => {
  document.documentElement.dataset.theme = theme;
  const wanted = language ?? preferredLanguage(navigator.languages);
  if (wanted === shownLanguage) return;
  shownLanguage = wanted;
  setLanguage(wanted);
  gone.abort();
  gone = new AbortController();
  const app = makeApp(chat, session, archive, gone.signal);
  if (mounted) mounted.replaceWith(app);
  else document.body.prepend(app);
  mounted = app;
});
mountNotices();

// A tab that is loaded again shows what it showed; a new one begins with an empty conversation.
const shown = remembered("ziya-talk");
if (shown !== null) await chat.show(shown);
chat.talk.listen(new AbortController().signal, ({ id }) => remember("ziya-talk", id));

session.start();
if (import.meta.env.PROD) await keepOffline(chat);
