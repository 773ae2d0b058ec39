/** Who calls and who wrote, told to one who may look elsewhere: by sound, by the title, by the system's notification. */
import { type Said, isOfCall } from "../api/types";
import { translate } from "../i18n/translate";
import { language } from "../i18n/language";
import type { Key, Params } from "../i18n/words";
import type { Tones } from "../media/tones";
import { unseenOf } from "../state/calls";
import { unreadOf } from "../state/chat";
import type { Store } from "../state/store";
import { formatRoute } from "../state/route";

const BLINK_MS = 1200;

export class Alerts {
  private ringing: string | null = null;
  private notification: Notification | null = null;
  private blink: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly store: Store,
    private readonly tones: Tones,
    private readonly nameOf: (user: string) => string,
  ) {
    store.subscribe(() => this.follow());
    language.subscribe(() => this.entitle());
  }

  heard(said: Said): void {
    if (said.type !== "message" && said.type !== "file") return;
    const entry = said.type === "message" ? said.message : said.file;
    const { me, chat } = this.store.get();
    if (entry.from === me?.user || chat.open === entry.conversation) return;
    this.tones.message();
    const name = said.who?.displayName ?? this.nameOf(entry.from);
    const route = isOfCall(entry.conversation) ? { at: "call" as const } : { at: "with" as const, user: entry.from };
    this.notify(said.type === "message" ? "chat.new" : "file.new", { name }, `chat-${entry.from}`, formatRoute(route));
  }

  private follow(): void {
    const { calls } = this.store.get();
    const ring = calls.ringing[0] ?? null;
    if ((ring?.id ?? null) !== this.ringing) {
      this.ringing = ring?.id ?? null;
      this.notification?.close();
      this.notification = null;
      clearInterval(this.blink);
      if (ring) {
        // In a call one tone is enough: who speaks must be understood.
        if (calls.current) this.tones.message();
        else this.tones.loop("ring");
        this.notification = this.notify("ring.title", { name: ring.from.displayName }, `ring-${ring.id}`, null);
        let lit = false;
        this.blink = setInterval(() => this.entitle((lit = !lit)), BLINK_MS);
      } else if (!calls.current) {
        this.tones.stop();
      }
    }
    this.entitle();
  }

  private entitle(plain = false): void {
    const { me, calls, chat } = this.store.get();
    const community = me?.community.displayName ?? "";
    const ring = calls.ringing[0];
    const unread = unreadOf(chat) + unseenOf(calls);
    const title = community ? translate(language.get(), "app.title", { community }) : "Portal";
    const shown = ring && !plain ? `☎ ${translate(language.get(), "ring.title", { name: ring.from.displayName })}` : `${unread ? `(${unread}) ` : ""}${title}`;
    if (document.title !== shown) document.title = shown;
  }

  /** Only for a page that nobody looks at: the others see it in the page. */
  private notify(key: Key, params: Params, tag: string, hash: string | null): Notification | null {
    if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return null;
    try {
      const notification = new Notification(translate(language.get(), key, params), {
        tag,
        icon: "/assets/icon.svg",
        requireInteraction: hash === null,
      });
      notification.onclick = () => {
        window.focus();
        if (hash) location.hash = hash;
        notification.close();
      };
      return notification;
    } catch {
      return null; // Android lets only a service worker notify
    }
  }
}
