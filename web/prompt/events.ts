/** An event handler that is an attribute of what fires the event, such as `oncontextoverflow`. */
export class Handler<Target extends EventTarget, Fired extends Event> {
  private current: ((this: Target, event: Fired) => unknown) | null = null;

  constructor(target: Target, type: string) {
    target.addEventListener(type, (event) => this.current?.call(target, event as Fired));
  }

  get(): typeof this.current {
    return this.current;
  }

  /** What is no function is none, as Web IDL has it. */
  set(handler: typeof this.current): void {
    this.current = typeof handler === "function" ? handler : null;
  }
}
