/** Messages and files: read, sent, sent again. */
import { ApiError } from "../api/client";
import { type Place, type SharedFile, placeKey } from "../api/types";
import { upload } from "../api/upload";
import { may } from "../state/state";
import type { Context } from "./context";
import { fileRefusal } from "./refusals";

export class Talking {
  private locals = 0;
  private readonly uploads = new Map<string, () => void>();

  constructor(private readonly context: Context) {}

  /** Reads the newest of a conversation, also again: what came while there was no connection was not told. */
  async open(place: Place): Promise<void> {
    const { store, api } = this.context;
    const state = store.get();
    store.dispatch({ type: "history-asked", place });
    try {
      const [history, files] = await Promise.all([
        may(state, "Chat") ? api.history(place, null) : { messages: [], before: null },
        place.kind === "user" && may(state, "FileSharing") ? api.files(place.user).catch(noneWhereRefused) : [],
      ]);
      store.dispatch({ type: "history", place, history, files, older: false });
    } catch (error) {
      store.dispatch({ type: "history-failed", place, closed: error instanceof ApiError && error.status === 403 });
    }
  }

  async older(place: Place): Promise<void> {
    const { store, api } = this.context;
    const before = store.get().chat.conversations[placeKey(place)]?.before;
    if (!before) return;
    store.dispatch({ type: "history-asked", place });
    try {
      store.dispatch({ type: "history", place, history: await api.history(place, before), files: [], older: true });
    } catch {
      store.dispatch({ type: "history-failed", place, closed: false });
    }
  }

  async send(place: Place, text: string, local = `m${++this.locals}`): Promise<void> {
    const { store, api } = this.context;
    store.dispatch({ type: "sending", place, local, text, at: Date.now() });
    try {
      store.dispatch({ type: "sent", local, message: await api.send(place, text) });
    } catch (error) {
      store.dispatch({ type: "not-sent", place, local });
      if (error instanceof ApiError && error.status === 403 && place.kind === "user") {
        this.context.say("problem", "chat.refused", { name: this.context.nameOf(place.user) });
      }
    }
  }

  async sendFile(user: string, file: File): Promise<void> {
    const { store, me } = this.context;
    const place: Place = { kind: "user", user };
    const local = `f${++this.locals}`;
    store.dispatch({ type: "upload", place, local, name: file.name, size: file.size, at: Date.now() });
    const limit = store.get().me?.limits.fileBytes ?? 0;
    if (limit && file.size > limit) {
      return store.dispatch({ type: "upload-failed", place, local, problem: "file.tooLarge" });
    }
    const going = upload(user, me, file, (sent) => store.dispatch({ type: "upload-progress", place, local, sent }));
    this.uploads.set(local, going.cancel);
    try {
      store.dispatch({ type: "uploaded", local, file: await going.done });
    } catch (error) {
      if (error instanceof ApiError && error.why === "cancelled") return store.dispatch({ type: "upload-gone", place, local });
      store.dispatch({ type: "upload-failed", place, local, problem: fileRefusal(error) });
    } finally {
      this.uploads.delete(local);
    }
  }

  /** Stops what is on its way, and takes away what has failed. */
  drop(user: string, local: string): void {
    const cancel = this.uploads.get(local);
    if (cancel) cancel();
    else this.context.store.dispatch({ type: "upload-gone", place: { kind: "user", user }, local });
  }
}

/** Files need a function of their own at the other end: without it the messages are read all the same. */
function noneWhereRefused(error: unknown): SharedFile[] {
  if (error instanceof ApiError && error.status === 403) return [];
  throw error;
}
