/** Calls from the first click to the end: the portal's part, and the media that belong to it. */
import type { Call, FunctionName, Media, Ring } from "../api/types";
import type { Problem } from "../media/problems";
import { CallMedia } from "../media/room";
import type { Tones } from "../media/tones";
import { type Verdict, mayHear, verdict } from "../state/calls";
import { formatRoute } from "../state/route";
import { type State, may } from "../state/state";
import type { Context } from "./context";
import { callRefusal } from "./refusals";

/** Kept over a reload of the page, and only in this tab. */
const KEY = "mcs.call";

export class Calling {
  media: CallMedia | null = null;
  /** Why the last call did not come about, or ended: shown until it is closed. */
  problem: Problem | null = null;
  private obeyed: readonly FunctionName[] = [];
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly context: Context,
    private readonly tones: Tones,
  ) {
    context.store.subscribe(() => this.follow());
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  async place(user: string, media: Media): Promise<void> {
    if (!this.mayBegin()) return;
    await this.begin(media === "video", user, () => this.context.api.call([user], media));
  }

  async accept(ring: Ring, withVideo: boolean): Promise<void> {
    if (this.context.store.get().calls.joining) return;
    await this.hangUp();
    await this.begin(withVideo, ring.from.user, () => this.context.api.accept(ring.id), ring.id);
  }

  /** A call that this user is in from elsewhere, or was in before the page was loaded again. */
  async takeUp(call: Call): Promise<void> {
    if (!this.mayBegin()) return;
    await this.begin(false, "", () => this.context.api.accept(call.id), call.id);
  }

  async refuse(ring: Ring): Promise<void> {
    this.context.store.dispatch({ type: "ring-over", id: ring.id });
    await this.context.api.refuse(ring.id).catch(() => undefined); // it rings no more, whatever the portal says
  }

  async invite(user: string): Promise<void> {
    const current = this.context.store.get().calls.current;
    if (!current) return;
    const name = this.context.nameOf(user);
    try {
      await this.context.api.invite(current.call.id, user);
      this.context.say("info", "invite.added", { name });
    } catch (error) {
      this.context.say("problem", callRefusal(error), { name });
    }
  }

  async hangUp(): Promise<void> {
    const current = this.context.store.get().calls.current;
    if (current) await this.end(current.call.id, true);
  }

  closeProblem(): void {
    this.problem = null;
    this.changed();
  }

  /** After the socket was lost: what was said of the call meanwhile. */
  async refresh(): Promise<void> {
    const { store, api } = this.context;
    const id = store.get().calls.current?.call.id ?? remembered();
    if (!id) return;
    const call = await api.callNow(id).catch(() => undefined);
    if (call) store.dispatch({ type: "said", said: { type: "call", call } });
    if (call === null) {
      remember(null);
      if (store.get().calls.current?.call.id === id) this.over(id);
    }
  }

  private mayBegin(): boolean {
    const { current, joining } = this.context.store.get().calls;
    return !current && !joining;
  }

  private async begin(video: boolean, user: string, ask: () => Promise<Call>, id = ""): Promise<void> {
    const { store } = this.context;
    const state = store.get();
    this.tones.unlock();
    this.problem = null;
    store.dispatch({ type: "joining" });
    let callId = id;
    const media = new CallMedia(
      async () => (await this.context.api.callNow(callId)) !== null,
      (why) => this.mediaOver(callId, media, why),
    );
    media.prepare({ microphone: may(state, "Audio"), camera: video && may(state, "Video") });
    try {
      const call = await ask();
      callId = call.id;
      this.media = media;
      remember(call.id);
      store.dispatch({ type: "joined", call });
      location.hash = formatRoute({ at: "call" });
      this.changed();
      void media.join(`${location.origin.replace(/^http/, "ws")}/calls/${encodeURIComponent(call.id)}`);
    } catch (error) {
      store.dispatch({ type: "join-failed" });
      if (id) store.dispatch({ type: "ring-over", id });
      await media.leave();
      this.context.say("problem", callRefusal(error), { name: this.context.nameOf(user) });
    }
  }

  /** The portal says who is in it; from that follows what is heard, and when it is over. */
  private follow(): void {
    const state = this.context.store.get();
    const { calls, me } = state;
    const { current } = calls;
    if (!me && this.media) return void this.drop();
    if (!current || !this.media) return;
    this.obey(state);
    const what = verdict(current, me?.user ?? "");
    if (mayHear(current, me?.user ?? "")) this.tones.loop("ringback");
    else if (calls.ringing.length === 0) this.tones.stop();
    if (what !== "on" && what !== "waiting") this.over(current.call.id, what);
  }

  /** A function that was taken away is not sent any more; the server holds it back anyhow. */
  private obey(state: State): void {
    const functions = state.me?.functions ?? [];
    if (functions === this.obeyed || !this.media) return;
    this.obeyed = functions;
    const sent = this.media.get();
    if (sent.microphone && !may(state, "Audio")) void this.media.setMicrophone(false);
    if (sent.camera && !may(state, "Video")) void this.media.setCamera(false);
    if (sent.screen && !may(state, "DesktopSharing")) void this.media.setScreen(false);
  }

  private over(id: string, what: Exclude<Verdict, "on" | "waiting"> = "over"): void {
    const current = this.context.store.get().calls.current;
    const other = current?.call.members.find((member) => member.user !== this.context.me);
    const name = other ? this.context.nameOf(other.user) : "";
    // First: whatever is said changes the state, and `follow` would find this call at its end again, and again.
    void this.end(id, !current?.call.ended);
    if (what === "refused") this.context.say("info", "call.refusedBy", { name });
    else if (what === "unanswered") this.context.say("info", "call.unanswered", { name });
    else this.context.say("info", "call.over");
  }

  private mediaOver(id: string, media: CallMedia, why: "over" | "taken" | "lost"): void {
    if (this.media !== media) return;
    if (why === "lost") this.problem = media.get().problems.find((problem) => problem.about === "line") ?? { about: "line", why: "lost" };
    void this.end(id, why !== "taken");
    this.context.say(why === "lost" ? "problem" : "info", `call.${why}`);
  }

  private async end(id: string, tell: boolean): Promise<void> {
    const { store, api } = this.context;
    const user = store.get().calls.current?.call.members.find((member) => member.user !== this.context.me)?.user;
    this.drop();
    store.dispatch({ type: "left", id });
    if (store.get().route.at === "call") {
      location.hash = formatRoute(user && !this.problem ? { at: "with", user } : { at: "people" });
    }
    if (tell) await api.leave(id).catch(() => undefined); // the portal notices by itself, only later
  }

  private drop(): void {
    const media = this.media;
    this.media = null;
    remember(null);
    this.tones.stop();
    this.changed();
    void media?.leave();
  }

  private changed(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

function remembered(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(id: string | null): void {
  try {
    if (id) sessionStorage.setItem(KEY, id);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Then a reload of the page asks nothing.
  }
}
