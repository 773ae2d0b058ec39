/** What the parts of the control have in common: the state, the portal, and a word to the user. */
import type { Api } from "../api/client";
import type { Key, Params } from "../i18n/words";
import type { ToastKind } from "../state/events";
import type { Store } from "../state/store";

const SHOWN_MS = { info: 5_000, problem: 9_000 };

export class Context {
  private toasts = 0;

  constructor(
    readonly store: Store,
    readonly api: Api,
  ) {}

  get me(): string {
    return this.store.get().me?.user ?? "";
  }

  nameOf(user: string): string {
    return this.store.get().people.names[user] ?? user;
  }

  say(kind: ToastKind, key: Key, params: Params = {}): void {
    const id = ++this.toasts;
    this.store.dispatch({ type: "toast", id, kind, words: [key, params] });
    setTimeout(() => this.store.dispatch({ type: "toast-gone", id }), SHOWN_MS[kind]);
  }
}
