/** The one WebSocket to the portal: comes back by itself, says whom it wants to see, tells what arrives. */
import { backoff } from "./backoff";
import { said } from "./parse";
import type { Said } from "./types";

const LIMIT_MS = 15_000;
const MOST_WATCHED = 200;
/** The portal's own code for a session that has ended. */
const SIGNED_OUT = 4401;

export interface Listener {
  onSaid: (said: Said) => void;
  /** True at each opening: what was said meanwhile is lost and has to be asked for. */
  onOpen: (again: boolean) => void;
  onLost: () => void;
}

export class Socket {
  private socket: WebSocket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private opened = false;
  private closed = false;
  private watched: string[] = [];

  constructor(
    private readonly url: string,
    private readonly listener: Listener,
  ) {
    window.addEventListener("online", this.atOnce);
    this.open();
  }

  watch(users: string[]): void {
    this.watched = users.slice(0, MOST_WATCHED);
    this.sendWatched();
  }

  close(): void {
    this.closed = true;
    window.removeEventListener("online", this.atOnce);
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private readonly atOnce = (): void => {
    if (this.closed || this.socket?.readyState === WebSocket.OPEN) return;
    clearTimeout(this.timer);
    this.attempt = 0;
    this.open();
  };

  private open(): void {
    const before = this.socket;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    before?.close(); // one that is still knocking would else be let in as a second one
    socket.onopen = () => {
      this.attempt = 0;
      this.sendWatched();
      this.listener.onOpen(this.opened);
      this.opened = true;
    };
    socket.onmessage = (event) => {
      const what = typeof event.data === "string" ? said(event.data) : null;
      if (what) this.listener.onSaid(what);
    };
    socket.onclose = (event) => {
      if (this.closed || this.socket !== socket) return;
      if (event.code === SIGNED_OUT) return this.listener.onSaid({ type: "signed-out" });
      this.listener.onLost();
      this.timer = setTimeout(() => this.open(), backoff(this.attempt++, LIMIT_MS));
    };
  }

  private sendWatched(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ type: "watch", users: this.watched }));
  }
}
