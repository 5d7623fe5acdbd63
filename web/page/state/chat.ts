import type { GenerationResult, Message } from "../../../src/index.ts";
import { t } from "../strings/strings.ts";
import { notify } from "../ui/notices.ts";
import { Signal } from "../ui/signal.ts";
import type { Archive, TalkEntry } from "./archive.ts";
import { Meter } from "./meter.ts";
import { generationOptions } from "./preferences.ts";
import type { Session } from "./session.ts";
import { branchOf, newId, newTalk, type Talk, type Turn } from "./talk.ts";

/** How often an answer under way is written down: what a closed tab may lose of it. */
const SAVE_MS = 1000;

/** What the page is at. */
type Activity =
  | { readonly kind: "idle" }
  /** Asked, and the model is not there yet. */
  | { readonly kind: "waiting"; readonly talk: Talk; readonly turn: Turn }
  /** The prompt is run; tokens. */
  | {
      readonly kind: "reading";
      readonly talk: Talk;
      readonly turn: Turn;
      readonly done: number;
      readonly total: number;
    }
  | { readonly kind: "answering"; readonly talk: Talk; readonly turn: Turn };

/** What went wrong with a conversation, and what to do once its cause is gone. */
interface Failure {
  readonly talk: Talk;
  readonly error: unknown;
  retry(): void;
}

/** The conversation that is shown, and the answer that is on its way, be it in this conversation or in another. */
export class Chat {
  readonly talk: Signal<Talk>;
  readonly activity = new Signal<Activity>({ kind: "idle" });
  /** Told whenever the turn's text has grown. */
  readonly grown = new Signal<Turn | undefined>(undefined);
  /** An answer that failed, until the next one. */
  readonly failure = new Signal<Failure | undefined>(undefined);
  readonly latest = new Signal<GenerationResult | undefined>(undefined);
  readonly meters = { prefill: new Meter(), decode: new Meter() };
  private readonly archive: Archive;
  private readonly session: Session;
  private stopping = new AbortController();
  /** Ids that are not written down again, unless they are there again. */
  private readonly deleted = new Set<string>();
  /** What could not be written down: it is here only. */
  private readonly unsaved = new WeakSet<Talk>();
  /** The last of what is being written down, one after the other. */
  private saving = Promise.resolve();

  constructor(archive: Archive, session: Session) {
    this.archive = archive;
    this.session = session;
    this.talk = new Signal(newTalk());
    archive.list.listen(new AbortController().signal, (entries) => {
      const entry = entries.find(({ id }) => id === this.talk.value.id);
      if (entry && this.isNews(entry)) void this.adopt(entry.id);
      const { value } = this.activity;
      for (const talk of new Set([this.talk.value, ...(value.kind === "idle" ? [] : [value.talk])]))
        if (!entries.some(({ id }) => id === talk.id)) void this.miss(talk);
    });
  }

  get busy(): boolean {
    return this.activity.value.kind !== "idle";
  }

  /** Shows an empty conversation, which is written down with its first message. */
  begin(): void {
    this.talk.value = newTalk();
  }

  async show(id: string): Promise<void> {
    const { value } = this.activity;
    // The one that is being answered is here already, and further than the archive has it.
    const talk = value.kind !== "idle" && value.talk.id === id ? value.talk : await this.archive.get(id);
    if (!talk) return;
    this.deleted.delete(id);
    this.talk.value = talk;
  }

  send(text: string): void {
    if (this.busy || text.trim() === "") return;
    const talk = this.talk.value;
    talk.turns.push({ id: newId(), role: "user", content: text });
    void this.answer(talk);
  }

  /** Says something else in place of a message, and has it answered; what came after it goes. */
  resend(turn: Turn, text: string): void {
    const talk = this.talk.value;
    const at = talk.turns.indexOf(turn);
    if (this.busy || at < 0 || text.trim() === "") return;
    talk.turns.splice(at, talk.turns.length, { id: newId(), role: "user", content: text });
    void this.answer(talk);
  }

  /** Answers the last question again. */
  regenerate(): void {
    const talk = this.talk.value;
    if (this.busy) return;
    while (talk.turns.at(-1)?.role === "assistant") talk.turns.pop();
    if (talk.turns.length > 0) void this.answer(talk);
  }

  stop(): void {
    this.stopping.abort();
  }

  /** @returns What brings it back. */
  async delete(id: string): Promise<() => Promise<void>> {
    const { value } = this.activity;
    if (value.kind !== "idle" && value.talk.id === id) this.stop();
    const talk = this.talk.value.id === id ? this.talk.value : await this.archive.get(id);
    this.deleted.add(id);
    await this.archive.delete(id);
    if (this.talk.value.id === id) this.begin();
    return async () => {
      this.deleted.delete(id);
      if (!talk) return;
      await this.archive.add([talk]);
      await this.show(id);
    };
  }

  private async answer(talk: Talk): Promise<void> {
    const stopping = new AbortController();
    this.stopping = stopping;
    this.failure.value = undefined;
    const asked: Message[] = talk.turns
      .filter(({ content }) => content !== "")
      .map(({ role, content }) => ({ role, content }));
    const turn: Turn = { id: newId(), role: "assistant", content: "" };
    talk.turns.push(turn);
    this.activity.value = { kind: "waiting", talk, turn };
    if (talk === this.talk.value) this.talk.value = talk;
    await this.save(talk);
    try {
      const { engine, model } = await this.session.ready(stopping.signal);
      turn.model = model;
      const { prefill, decode } = this.meters;
      prefill.start(performance.now());
      const points = prefill.points.length;
      let ran = 0;
      const stream = engine.chat(asked, {
        ...generationOptions(),
        signal: stopping.signal,
        onPrefill: (done, total) => {
          prefill.add(done - ran, performance.now());
          ran = done;
          this.activity.value = { kind: "reading", talk, turn, done, total };
        },
      });
      let saved = performance.now();
      for await (const piece of stream) {
        const now = performance.now();
        if (turn.content === "") {
          decode.start(now);
          this.activity.value = { kind: "answering", talk, turn };
        } else decode.add(1, now);
        turn.content += piece;
        this.grown.value = turn;
        if (now - saved > SAVE_MS) {
          saved = now;
          void this.save(talk);
        }
      }
      const result = await stream.result;
      turn.finish = result.finish_reason;
      turn.usage = result.usage;
      turn.timings = result.timings;
      const { prefill_tokens_per_second: rate } = result.timings;
      // A prompt that ran in one go has had no rate on its way.
      if (rate !== null && prefill.points.length === points) prefill.points.push(rate);
      this.latest.value = result;
    } catch (error) {
      // Another model in the place of this one ends its answers as Stop does.
      const stopped =
        stopping.signal.aborted || (error instanceof DOMException && error.name === "AbortError");
      turn.finish = stopped ? "abort" : "error";
      if (!stopped) this.failure.value = { talk, error, retry: () => this.regenerate() };
    }
    // One that was stopped or failed before its first word is none; one that the model ended there is.
    if (turn.content === "" && (turn.finish === "abort" || turn.finish === "error"))
      talk.turns.splice(talk.turns.indexOf(turn), 1);
    await this.save(talk);
    this.activity.value = { kind: "idle" };
    if (talk === this.talk.value) this.talk.value = talk;
  }

  /** Whether it is a state of the conversation that is shown of which this tab, at rest, knows nothing. */
  private isNews({ id, version, title }: TalkEntry): boolean {
    const talk = this.talk.value;
    if (id !== talk.id || this.busy || this.unsaved.has(talk)) return false;
    return version !== talk.version || title !== talk.title;
  }

  /** Shows what another tab has made of the conversation that is shown, which goes on from there. */
  private async adopt(id: string): Promise<void> {
    const theirs = await this.archive.get(id);
    if (!theirs || !this.isNews(theirs)) return;
    const talk = this.talk.value;
    // An answer that still comes there is shown when it is whole.
    const last = theirs.turns.at(-1);
    if (last?.role === "assistant" && last.finish === undefined) return;
    const known = new Map(talk.turns.map((turn) => [turn.id, turn]));
    const turns = theirs.turns.map((turn) => Object.assign(known.get(turn.id) ?? turn, turn));
    this.talk.value = Object.assign(talk, theirs, { turns });
  }

  /** Looks whether a conversation that is not in the list is not there either: the list may be older than it. */
  private async miss(talk: Talk): Promise<void> {
    const { id, version } = talk;
    if (version !== undefined && !(await this.archive.get(id)) && talk.id === id) this.lose(talk);
  }

  /** Another tab has deleted it: it goes here too, its answer with it, unless the person wants it. */
  private lose(talk: Talk): void {
    if (this.deleted.has(talk.id)) return;
    this.deleted.add(talk.id);
    const { value } = this.activity;
    if (value.kind !== "idle" && value.talk === talk) this.stop();
    if (this.failure.value?.talk === talk) this.failure.value = undefined;
    if (talk === this.talk.value) this.begin();
    const keep = () => {
      this.part(talk);
      this.talk.value = talk;
      void this.save(talk);
    };
    notify(t().deletedElsewhere(talk.title || t().untitled), { label: t().keepTalk, run: keep }, true);
  }

  /** Makes it a conversation of its own, which nobody has written yet. */
  private part(talk: Talk): void {
    const titles = this.archive.list.value.map(({ title }) => title);
    Object.assign(talk, branchOf(talk, titles));
    delete talk.version;
  }

  /** The failure is there until it is written down. */
  private async saveAgain(talk: Talk): Promise<void> {
    const { value } = this.failure;
    await this.save(talk);
    if (this.failure.value === value) this.failure.value = undefined;
  }

  private save(talk: Talk): Promise<void> {
    this.saving = this.saving.then(() => this.write(talk));
    return this.saving;
  }

  /**
   * Where another tab has gone on with the conversation, what was said here becomes one of its own; where another tab has deleted
   * it, it is written no more.
   */
  private async write(talk: Talk): Promise<void> {
    if (this.deleted.has(talk.id)) return;
    talk.changed = Date.now();
    try {
      const became = await this.archive.put(talk);
      if (became === "deleted") this.lose(talk);
      if (became === "changed") {
        this.part(talk);
        if (talk === this.talk.value) this.talk.value = talk;
        notify(t().branched(talk.title), undefined, true);
        await this.archive.put(talk);
      }
      this.unsaved.delete(talk);
    } catch (error) {
      this.unsaved.add(talk);
      this.failure.value = { talk, error, retry: () => void this.saveAgain(talk) };
    }
  }
}
