/** One call's media: a thin cover over LiveKit's `Room` that says in one value what there is to see and to hear. */
import { ConnectionError, ConnectionState, type LocalTrack, LogLevel, Room, RoomEvent, Track, setLogLevel } from "livekit-client";
import { backoff } from "../api/backoff";
import { type ChosenDevices, type DeviceKind, chosenDevices } from "./devices";
import { SCREEN, SCREEN_PUBLISHING, roomOptions } from "./options";
import { type Device, type Problem, afterLoss, deviceProblem, lineProblem } from "./problems";
import { receivePictures } from "./received";
import { keepFlowingMedia } from "./resume";
import { type Own, type Seat, isOn, ownSeat, publicationOf, seatOf } from "./seats";

export type LineState = "connecting" | "connected" | "reconnecting" | "closed";
export interface MediaState {
  line: LineState;
  seats: Seat[];
  microphone: boolean;
  camera: boolean;
  screen: boolean;
  /** What this page waits for the browser to give. */
  asking: Device | null;
  soundBlocked: boolean;
  problems: Problem[];
  since: number | null;
}

export type Wishes = Record<Own, boolean>;

setLogLevel(LogLevel.warn); // what it says otherwise has names in it, and fills the console of a long call

/** How long a call is tried to be taken up again: as long as the portal lets a lost session in without asking. */
const COME_BACK_MS = 60_000;

export class CallMedia {
  private readonly room: Room;
  private readonly listeners = new Set<() => void>();
  private readonly spoke = new Map<string, number>();
  private state: MediaState;
  private left = false;
  private trying = true;
  private drawn = false;
  private published: Promise<unknown> = Promise.resolve();
  private readonly opening = new Map<Own, Promise<LocalTrack | null>>();
  /** Open, and not published yet: one sees and mutes oneself already while the line is made. */
  private readonly held = new Map<Own, LocalTrack>();
  private url = "";
  private line: LineState = "connecting";
  private asking: Device | null = null;
  private readonly problems = new Map<Problem["about"], Problem>();
  private since: number | null = null;
  private pinned: string | null = null;
  private wishes: Wishes = { microphone: false, camera: false };

  /** `goesOn` asks the portal whether there still is this call. */
  constructor(
    private readonly goesOn: () => Promise<boolean>,
    private readonly onOver: (why: "over" | "taken" | "lost") => void,
    devices: ChosenDevices = chosenDevices(),
  ) {
    this.room = new Room(roomOptions(devices));
    keepFlowingMedia(this.room);
    this.state = this.look();
    this.listen();
  }

  readonly get = (): MediaState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Asks for microphone and camera already while the portal is asked for the call: somebody waits to be heard. */
  prepare(wishes: Wishes): void {
    this.wishes = wishes;
    if (wishes.microphone) this.opening.set("microphone", this.open("microphone"));
    if (wishes.camera) this.opening.set("camera", this.open("camera"));
  }

  async join(url: string): Promise<void> {
    this.url = url;
    // LiveKit publishes as soon as its signalling is there, so nothing waits for anything here.
    this.published = Promise.all([...this.opening].map(([device, track]) => this.publish(device, track)));
    try {
      await this.connect();
    } catch (error) {
      if (!this.left) await this.comeBack(error);
    }
    await this.published;
  }

  async setMicrophone(on: boolean): Promise<void> {
    this.wishes.microphone = on;
    await this.switch("microphone", on);
  }

  async setCamera(on: boolean): Promise<void> {
    this.wishes.camera = on;
    await this.switch("camera", on);
  }

  async setScreen(on: boolean): Promise<void> {
    await this.switch("screen", on);
  }

  async useDevice(kind: DeviceKind, id: string): Promise<void> {
    await this.room.switchActiveDevice(kind, id).catch(() => undefined);
    this.draw();
  }

  /** After a click, where the browser would not let the page make a sound before. */
  async startSound(): Promise<void> {
    await this.room.startAudio().catch(() => undefined);
    this.draw();
  }

  pin(identity: string | null): void {
    this.pinned = identity;
    this.draw();
  }

  forget(about: Problem["about"]): void {
    this.problems.delete(about);
    this.draw();
  }

  /** Shows a participant's picture in an element, until the answer is called. */
  show(identity: string, source: "camera" | "screen", element: HTMLVideoElement): () => void {
    const held = identity === this.room.localParticipant.identity && source === "camera" ? this.held.get("camera") : undefined;
    const track = held ?? publicationOf(this.room, identity, source)?.videoTrack;
    track?.attach(element);
    return () => void track?.detach(element);
  }

  async leave(): Promise<void> {
    this.left = true;
    this.line = "closed";
    for (const opening of this.opening.values()) void opening.then((track) => track?.stop());
    await this.room.disconnect(true);
    this.draw();
  }

  // ---- joining, and coming back

  private async connect(): Promise<void> {
    // No token: the gate knows the session by its cookie and makes one that this page never sees.
    await this.room.connect(this.url, "-", { maxRetries: 1, peerConnectionTimeout: 15_000, websocketTimeout: 8_000 });
    if (this.left) return void (await this.room.disconnect(true)); // hung up meanwhile
    this.trying = false;
    this.line = "connected";
    this.since ??= Date.now();
    this.problems.delete("line");
    this.draw();
  }

  private async comeBack(first: unknown): Promise<void> {
    this.trying = true;
    const until = Date.now() + COME_BACK_MS;
    let error = first;
    for (let attempt = 0; Date.now() < until && !this.left; attempt++) {
      const problem = this.problemOf(error);
      if (problem.why === "refused" || problem.why === "over") break;
      this.line = this.since ? "reconnecting" : "connecting";
      this.note(problem);
      this.draw();
      await new Promise((resolve) => setTimeout(resolve, backoff(attempt, 5000)));
      if (this.left) return;
      try {
        if (!(await this.goesOn().catch(() => true))) return this.end("over");
        await this.connect();
        await this.published; // or what waited for the line would be opened a second time
        if (this.wishes.microphone) await this.switch("microphone", true);
        if (this.wishes.camera) await this.switch("camera", true);
        return;
      } catch (again) {
        error = again;
      }
    }
    if (!this.left) this.end(this.problemOf(error).why === "over" ? "over" : "lost", this.problemOf(error));
  }

  private problemOf(error: unknown): Problem {
    const status = error instanceof ConnectionError && typeof error.status === "number" ? error.status : undefined;
    // LiveKit says this where the signalling was there, and no way for media was found.
    return lineProblem(status, error instanceof Error && /could not establish (?!signal)/i.test(error.message));
  }

  private note(problem: Problem | null): void {
    if (problem) this.problems.set(problem.about, problem);
  }

  private end(why: "over" | "taken" | "lost", problem: Problem | null = null): void {
    this.line = "closed";
    this.note(problem);
    this.draw();
    this.onOver(why);
  }

  private readonly onDisconnected = (reason?: number): void => {
    if (this.left || this.trying) return; // `connect` itself says why it failed
    const next = afterLoss(reason);
    if (next === "again") void this.comeBack(null);
    else this.end(next);
  };

  // ---- devices

  private async open(device: Own): Promise<LocalTrack | null> {
    try {
      const wanted = device === "microphone" ? { audio: true } : { video: true };
      const [track] = await this.room.localParticipant.createTracks(wanted);
      if (!track) return null;
      this.held.set(device, track);
      this.draw();
      return track;
    } catch (error) {
      this.note(deviceProblem(device, error));
      this.wishes[device] = false;
      this.draw();
      return null;
    }
  }

  private async publish(device: Own, opening: Promise<LocalTrack | null>): Promise<void> {
    const track = await opening;
    if (!track || this.left) return;
    try {
      await this.room.localParticipant.publishTrack(track);
    } catch {
      track.stop(); // the line is gone, and says so; coming back opens it anew
    }
    this.held.delete(device);
    this.draw();
  }

  private async switch(device: Device, on: boolean): Promise<void> {
    const local = this.room.localParticipant;
    const held = device === "screen" ? undefined : this.held.get(device);
    if (held) {
      await (on ? held.unmute() : held.mute()); // published muted, then
      return this.draw();
    }
    this.asking = on ? device : null;
    this.problems.delete(device);
    this.draw();
    try {
      if (device === "microphone") await local.setMicrophoneEnabled(on);
      else if (device === "camera") await local.setCameraEnabled(on);
      else {
        const capture = { audio: true, contentHint: "detail" as const, resolution: SCREEN.resolution, selfBrowserSurface: "exclude" as const, surfaceSwitching: "include" as const };
        await local.setScreenShareEnabled(on, capture, SCREEN_PUBLISHING);
      }
    } catch (error) {
      // What fails because the line is gone is told by the line.
      if (!this.left && this.line !== "reconnecting") this.note(deviceProblem(device, error));
    } finally {
      if (this.asking === device) this.asking = null;
      this.draw();
    }
  }

  // ---- what there is to see

  private listen(): void {
    const redraw = [
      RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected, RoomEvent.TrackPublished, RoomEvent.TrackUnpublished,
      RoomEvent.TrackUnsubscribed, RoomEvent.TrackMuted, RoomEvent.TrackUnmuted, RoomEvent.LocalTrackPublished,
      RoomEvent.LocalTrackUnpublished, RoomEvent.ConnectionQualityChanged, RoomEvent.AudioPlaybackStatusChanged,
      RoomEvent.TrackStreamStateChanged, RoomEvent.Connected,
    ] as const;
    for (const event of redraw) this.room.on(event, this.draw);
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => {
        if (track.kind === Track.Kind.Audio) track.attach(); // into an element of its own, which needs no place in the page
        this.draw();
      })
      .on(RoomEvent.ActiveSpeakersChanged, (speakers) => {
        for (const speaker of speakers) this.spoke.set(speaker.identity, Date.now());
        this.draw();
      })
      .on(RoomEvent.ConnectionStateChanged, (state) => {
        if (state === ConnectionState.Reconnecting || state === ConnectionState.SignalReconnecting) this.line = "reconnecting";
        if (state === ConnectionState.Connected) this.line = "connected";
        this.draw();
      })
      .on(RoomEvent.Disconnected, this.onDisconnected);
    document.addEventListener("visibilitychange", this.draw);
  }

  /** At most once for all that happens in one turn. */
  private readonly draw = (): void => {
    if (this.drawn) return;
    this.drawn = true;
    queueMicrotask(() => {
      this.drawn = false;
      receivePictures(this.room, this.spoke, this.pinned);
      this.state = this.look();
      if (this.left) document.removeEventListener("visibilitychange", this.draw);
      for (const listener of [...this.listeners]) listener();
    });
  };

  private look(): MediaState {
    const local = this.room.localParticipant;
    return {
      line: this.line,
      seats: [ownSeat(local, this.held), ...[...this.room.remoteParticipants.values()].map(seatOf)],
      microphone: local.isMicrophoneEnabled || isOn(this.held, "microphone"),
      camera: local.isCameraEnabled || isOn(this.held, "camera"),
      screen: local.isScreenShareEnabled,
      asking: this.asking,
      soundBlocked: this.line === "connected" && !this.room.canPlaybackAudio,
      problems: [...this.problems.values()],
      since: this.since,
    };
  }
}
