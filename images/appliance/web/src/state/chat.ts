/** Conversations: what was read of them, what is on its way, and what nobody has looked at yet. */
import type { History, Message, Place, Recent, SharedFile } from "../api/types";
import { isOfCall, placeKey } from "../api/types";
import type { Key } from "../i18n/words";
import type { Event } from "./events";
import { isUnread } from "./marks";

export interface Sending {
  local: string;
  text: string;
  at: number;
  failed: boolean;
}

export interface Uploading {
  local: string;
  name: string;
  size: number;
  sent: number;
  at: number;
  problem: Key | null;
}

export interface Conversation {
  messages: Message[];
  files: SharedFile[];
  sending: Sending[];
  uploads: Uploading[];
  /** What to ask for to get older messages. */
  before: string | null;
  /** `closed`: the other one may not read, or this one may not. */
  state: "unread" | "loading" | "read" | "failed" | "closed";
}

export interface Chat {
  conversations: Record<string, Conversation>;
  /** Keys of conversations with colleagues, the newest first. */
  recent: string[];
  unread: Record<string, number>;
  /** The conversation that is on screen: what comes into it counts as read. */
  open: string | null;
}

export const noConversation: Conversation = {
  messages: [], files: [], sending: [], uploads: [], before: null, state: "unread",
};
export const noChat: Chat = { conversations: {}, recent: [], unread: {}, open: null };

export function chat(state: Chat, event: Event, me: string): Chat {
  switch (event.type) {
    case "recents":
      return {
        ...state,
        recent: event.recents.map((one) => one.user),
        unread: { ...state.unread, ...unseen(state, event.recents.filter((one) => isUnread(event.marks, one, me))) },
      };
    case "history-asked":
      return at(state, event.place, (one) => ({ ...one, state: "loading" }));
    case "history-failed":
      return at(state, event.place, (one) => ({ ...one, state: event.closed ? "closed" : "failed" }));
    case "history":
      return at(state, event.place, (one) => withHistory(one, event.history, event.files, event.older));
    case "sending": {
      const fresh = { local: event.local, text: event.text, at: event.at, failed: false };
      return at(state, event.place, (one) => ({ ...one, sending: [...without(one.sending, event.local), fresh] }));
    }
    case "not-sent":
      return at(state, event.place, (one) => ({
        ...one,
        sending: one.sending.map((entry) => (entry.local === event.local ? { ...entry, failed: true } : entry)),
      }));
    case "sent":
      return taken(state, event.message.conversation, (one) => ({
        ...one,
        sending: without(one.sending, event.local),
        messages: added(one.messages, [event.message]),
      }));
    case "said":
      return told(state, event.said, me);
    case "left":
      // Its chat cannot be opened any more, so nobody could read away the mark.
      return { ...state, unread: { ...state.unread, [placeKey({ kind: "call", call: event.id })]: 0 } };
    case "chat-open":
      return opened(state, event.key);
    default:
      return uploads(state, event);
  }
}

/** How many there are is not told: at least one. */
function unseen(state: Chat, recents: Recent[]): Record<string, number> {
  const closed = recents.filter((one) => one.user !== state.open);
  return Object.fromEntries(closed.map((one) => [one.user, state.unread[one.user] || 1]));
}

function uploads(state: Chat, event: Event): Chat {
  switch (event.type) {
    case "upload": {
      const { local, name, size, at: when } = event;
      const fresh: Uploading = { local, name, size, sent: 0, at: when, problem: null };
      return at(state, event.place, (one) => ({ ...one, uploads: [...one.uploads, fresh] }));
    }
    case "upload-progress":
      return changed(state, event.place, event.local, (entry) => ({ ...entry, sent: event.sent }));
    case "upload-failed":
      return changed(state, event.place, event.local, (entry) => ({ ...entry, problem: event.problem }));
    case "upload-gone":
      return at(state, event.place, (one) => ({ ...one, uploads: without(one.uploads, event.local) }));
    case "uploaded":
      return taken(state, event.file.conversation, (one) => ({
        ...one,
        uploads: without(one.uploads, event.local),
        files: added(one.files, [event.file]),
      }));
    default:
      return state;
  }
}

function told(state: Chat, said: Extract<Event, { type: "said" }>["said"], me: string): Chat {
  if (said.type !== "message" && said.type !== "file") return state;
  const entry = said.type === "message" ? said.message : said.file;
  const key = entry.conversation === me || !entry.conversation ? entry.from : entry.conversation;
  const known = state.conversations[key] ?? noConversation;
  const is = (other: { id: string }): boolean => other.id === entry.id;
  if (known.messages.some(is) || known.files.some(is)) return state;
  const next = taken(state, key, (one) =>
    said.type === "message"
      ? { ...one, messages: added(one.messages, [{ ...said.message, conversation: key }]) }
      : { ...one, files: added(one.files, [{ ...said.file, conversation: key }]) },
  );
  if (entry.from === me || key === state.open) return next;
  return { ...next, unread: { ...next.unread, [key]: (next.unread[key] ?? 0) + 1 } };
}

/** Opened, so read. Nothing is open while nobody sees the page. */
function opened(state: Chat, key: string | null): Chat {
  if (key === state.open && !(key && state.unread[key])) return state;
  return { ...state, open: key, unread: key ? { ...state.unread, [key]: 0 } : state.unread };
}

function withHistory(one: Conversation, history: History, files: SharedFile[], older: boolean): Conversation {
  return {
    ...one,
    state: "read",
    messages: added(one.messages, history.messages),
    files: added(one.files, files),
    // What was read anew after a lost connection are the newest: how far back one had read stays.
    before: older || one.messages.length === 0 ? history.before : one.before,
  };
}

function at(state: Chat, place: Place, change: (one: Conversation) => Conversation): Chat {
  const key = placeKey(place);
  return {
    ...state,
    conversations: { ...state.conversations, [key]: change(state.conversations[key] ?? noConversation) },
  };
}

/** Changed by something new that was said in it: it goes to the top. */
function taken(state: Chat, key: string, change: (one: Conversation) => Conversation): Chat {
  const next = { ...state.conversations, [key]: change(state.conversations[key] ?? noConversation) };
  const recent = isOfCall(key) ? state.recent : [key, ...state.recent.filter((other) => other !== key)];
  return { ...state, conversations: next, recent };
}

function changed(state: Chat, place: Place, local: string, change: (entry: Uploading) => Uploading): Chat {
  return at(state, place, (one) => ({
    ...one,
    uploads: one.uploads.map((entry) => (entry.local === local ? change(entry) : entry)),
  }));
}

function without<T extends { local: string }>(entries: T[], local: string): T[] {
  return entries.filter((entry) => entry.local !== local);
}

function added<T extends { id: string; at: number }>(before: T[], fresh: T[]): T[] {
  const known = new Set(before.map((entry) => entry.id));
  const unknown = fresh.filter((entry) => !known.has(entry.id));
  if (unknown.length === 0) return before;
  return [...before, ...unknown].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)); // ids tell the order
}

export function unreadOf(state: Chat): number {
  return Object.values(state.unread).reduce((sum, count) => sum + count, 0);
}
