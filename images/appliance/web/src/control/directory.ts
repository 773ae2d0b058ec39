/** The directory, searched at the server, and the presence of those whom somebody looks at. */
import type { Context } from "./context";
import { toWatch } from "../state/people";

const SETTLED_MS = 150;

export class Directory {
  private asking: AbortController | null = null;
  private readonly shown = new Map<string, readonly string[]>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly context: Context,
    private readonly tell: (users: string[]) => void,
  ) {}

  search(q: string): Promise<void> {
    return this.read(q, null);
  }

  async more(): Promise<void> {
    const { q, next, loading } = this.context.store.get().people;
    if (next && !loading) await this.read(q, next);
  }

  /** Each part of the page says whom it shows; what is scrolled past changes often, so it is told when that rests. */
  show(part: "list" | "main" | "call" | "recent", users: readonly string[]): void {
    this.shown.set(part, users);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.tell(toWatch([...this.shown.values()].flat(), [])), SETTLED_MS);
  }

  stop(): void {
    this.asking?.abort();
    clearTimeout(this.timer);
  }

  private async read(q: string, after: string | null): Promise<void> {
    const { store, api } = this.context;
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    store.dispatch({ type: "directory-asked", q, more: after !== null });
    try {
      const page = await api.directory(q, after, asking.signal);
      store.dispatch({ type: "directory-page", q, more: after !== null, page });
    } catch {
      if (!asking.signal.aborted) store.dispatch({ type: "directory-failed", q });
    }
  }
}
