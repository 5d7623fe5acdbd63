import type { Explain } from "./folder.ts";
import { type FileState, type ModelFolder, type ModelState, writeState } from "./state.ts";

/** The state of a model, for the one worker that may write it: each change is on the disk when it resolves. */
export class StateKeeper {
  readonly #name: string;
  readonly #folder: ModelFolder;
  readonly #explain: Explain;
  #state: ModelState;
  #writing: Promise<void> = Promise.resolve();

  constructor(name: string, folder: ModelFolder, state: ModelState, explain: Explain) {
    this.#name = name;
    this.#folder = folder;
    this.#explain = explain;
    this.#state = state;
  }

  get state(): ModelState {
    return this.#state;
  }

  change(changes: Partial<Omit<ModelState, "changed">>): Promise<void> {
    this.#state = { ...this.#state, ...changes, changed: Date.now() };
    // Lanes change it side by side: each write has what is known when its turn comes.
    this.#writing = this.#writing.then(() =>
      writeState(this.#name, this.#folder.directory, this.#state, this.#explain),
    );
    const written = this.#writing;
    // Whoever waits for it hears of it; the next write is tried all the same.
    this.#writing = written.catch(() => {});
    return written;
  }

  /** One file, in place of what was known of it. */
  put(file: FileState): Promise<void> {
    const others = this.#state.files.filter(({ name }) => name !== file.name);
    return this.change({ files: [...others, file] });
  }

  /** A file that is done, or undefined. */
  done(name: string): FileState | undefined {
    return this.#state.files.find((file) => file.name === name && file.done);
  }
}
