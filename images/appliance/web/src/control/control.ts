/** What the components may do. It holds the parts together, and begins and ends what belongs to one login. */
import { Api, ApiError } from "../api/client";
import { Socket } from "../api/socket";
import type { Said } from "../api/types";
import { placeOf } from "../api/types";
import { Tones } from "../media/tones";
import { type Marks, noMarks, withOpen } from "../state/marks";
import { parseRoute } from "../state/route";
import { initialState, may } from "../state/state";
import { Store } from "../state/store";
import { Alerts } from "./alerts";
import { Calling } from "./calling";
import { Context } from "./context";
import { Directory } from "./directory";
import { loadMarks, saveMarks } from "./marks";
import { Talking } from "./talking";

export class Control {
  readonly store = new Store(initialState(parseRoute(location.hash)));
  readonly api = new Api((input, init) => fetch(input, init));
  readonly tones = new Tones();
  readonly context = new Context(this.store, this.api);
  readonly calling = new Calling(this.context, this.tones);
  readonly talking = new Talking(this.context);
  readonly directory = new Directory(this.context, (users) => this.socket?.watch(users));
  private readonly alerts = new Alerts(this.store, this.tones, (user) => this.context.nameOf(user));
  private socket: Socket | null = null;
  private marks = noMarks;

  start(): void {
    window.addEventListener("hashchange", () => this.store.dispatch({ type: "route", route: parseRoute(location.hash) }));
    for (const gesture of ["pointerdown", "keydown"]) {
      window.addEventListener(gesture, () => this.tones.unlock(), { passive: true });
    }
    this.store.subscribe(() => this.mark(withOpen(this.marks, this.store.get().chat)));
    this.tones.unlock();
    void this.resume();
  }

  async login(user: string, password: string): Promise<void> {
    await this.api.login(user, password);
    await this.enter();
  }

  async logout(everywhere = false): Promise<void> {
    await this.calling.hangUp();
    await this.api.logout(everywhere).catch(() => undefined);
    this.mark({ ...noMarks, floor: Date.now(), missed: this.marks.missed });
    this.leave("asked");
  }

  async readMissed(): Promise<void> {
    this.store.dispatch({ type: "missed", missed: await this.api.missed() });
  }

  /** What is on screen now counts as seen, also when the page is loaded again. */
  seeMissed(): void {
    const { calls } = this.store.get();
    const at = Math.max(0, ...calls.missed.map((call) => call.at));
    if (at <= calls.seenAt) return;
    this.store.dispatch({ type: "missed-seen", at });
    this.mark({ ...this.marks, missed: at });
  }

  private mark(marks: Marks): void {
    if (marks === this.marks) return;
    this.marks = marks;
    saveMarks(this.context.me, marks);
  }

  /** With a session of before there is no login. */
  private async resume(): Promise<void> {
    try {
      await this.enter();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return this.leave("none");
      setTimeout(() => void this.resume(), 3000); // the portal is being started: the login would not help either
    }
  }

  private async enter(): Promise<void> {
    const me = await this.api.me();
    this.store.dispatch({ type: "started", me });
    this.marks = loadMarks(me.user);
    this.store.dispatch({ type: "missed-seen", at: this.marks.missed });
    this.socket = new Socket(`${location.origin.replace(/^http/, "ws")}/api/socket`, {
      onSaid: (said) => this.heard(said),
      onOpen: (again) => {
        this.store.dispatch({ type: "online", online: true });
        void this.catchUp(again);
      },
      onLost: () => void this.lost(),
    });
  }

  private leave(why: "asked" | "by-server" | "none"): void {
    this.socket?.close();
    this.socket = null;
    this.directory.stop();
    if (location.hash) location.hash = "";
    this.marks = noMarks;
    this.store.dispatch({ type: "signed-out", why });
  }

  private heard(said: Said): void {
    if (said.type === "signed-out") return this.leave("by-server");
    this.alerts.heard(said);
    this.store.dispatch({ type: "said", said });
    const missed = said.type === "ring-ended" && said.why !== "accepted" && said.why !== "refused";
    // Who is in a call is not told of those who find him busy: that is asked when the call is over.
    const over = said.type === "call" && said.call.ended;
    if (missed || over) void this.readMissed().catch(() => undefined);
  }

  /** A socket that was refused may be one without a session: only a request can tell. */
  private async lost(): Promise<void> {
    this.store.dispatch({ type: "online", online: false });
    try {
      await this.api.me();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && this.socket) this.leave("by-server");
    }
  }

  /** What nobody told while there was no socket. */
  private async catchUp(again: boolean): Promise<void> {
    const { store, api } = this;
    const tasks: Promise<unknown>[] = [this.calling.refresh(), this.readMissed()];
    if (may(store.get(), "Chat") || may(store.get(), "FileSharing")) {
      tasks.push(api.recents().then((recents) => store.dispatch({ type: "recents", recents, marks: this.marks })));
    }
    if (again) {
      tasks.push(api.me().then((me) => store.dispatch({ type: "started", me })));
      const { open } = store.get().chat;
      if (open) tasks.push(this.talking.open(placeOf(open)));
    }
    await Promise.allSettled(tasks);
  }
}
