/** The directory as far as it was read, who is there, and what everybody is called. */
import type { Listed, Person, Presence } from "../api/types";
import type { Event } from "./events";

export interface People {
  q: string;
  users: Listed[];
  next: string | null;
  loading: boolean;
  failed: boolean;
  /** Newer than what the directory said, because the socket tells each change. */
  presence: Record<string, Presence>;
  names: Record<string, string>;
}

export const noPeople: People = {
  q: "", users: [], next: null, loading: false, failed: false, presence: {}, names: {},
};

export function people(state: People, event: Event): People {
  switch (event.type) {
    case "directory-asked":
      return { ...state, q: event.q, loading: true, failed: false, ...(!event.more && { next: null }) };
    case "directory-page": {
      if (event.q !== state.q) return state; // of a search that was overtaken
      const users = event.more ? merged(state.users, event.page.users) : event.page.users;
      const presence = Object.fromEntries(event.page.users.map((user) => [user.user, user.presence]));
      return named(
        { ...state, users, next: event.page.next, loading: false, presence: { ...state.presence, ...presence } },
        event.page.users,
      );
    }
    case "directory-failed":
      return event.q === state.q ? { ...state, loading: false, failed: true } : state;
    case "recents":
      return named(state, event.recents);
    case "missed":
      return named(state, event.missed.map((call) => call.from));
    case "joined":
      return named(state, event.call.members);
    case "said":
      return told(state, event.said);
    default:
      return state;
  }
}

function told(state: People, said: Extract<Event, { type: "said" }>["said"]): People {
  if (said.type === "presence") return { ...state, presence: { ...state.presence, ...said.users } };
  if (said.type === "ring") return named(state, [said.call.from]);
  if (said.type === "call") return named(state, said.call.members);
  if ((said.type === "message" || said.type === "file") && said.who) return named(state, [said.who]);
  return state;
}

function named(state: People, persons: readonly Person[]): People {
  const fresh = persons.filter((who) => state.names[who.user] !== who.displayName);
  if (fresh.length === 0) return state;
  return { ...state, names: { ...state.names, ...Object.fromEntries(fresh.map((who) => [who.user, who.displayName])) } };
}

/** Two pages may overlap when somebody was added between them. */
function merged(before: Listed[], after: Listed[]): Listed[] {
  const known = new Set(before.map((user) => user.user));
  return [...before, ...after.filter((user) => !known.has(user.user))];
}

export function nameOf(state: People, user: string): string {
  return state.names[user] ?? user;
}

export function presenceOf(state: People, user: string): Presence {
  return state.presence[user] ?? "offline";
}

/** Whom the socket shall watch: those on screen first, for the server takes 200 at most. */
export function toWatch(onScreen: Iterable<string>, others: Iterable<string>): string[] {
  return [...new Set([...onScreen, ...others])].slice(0, 200);
}
