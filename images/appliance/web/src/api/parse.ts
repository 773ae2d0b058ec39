/**
 * From JSON to types, without trust: an answer of another version, or a proxy's page in its place, must not end the
 * pages. What is missing gets its harmless value; what cannot be used is left out.
 */
import type {
  Call, FunctionName, History, Listed, Me, Media, Member, MemberState, Message, Missed, Page, Person, Presence, Recent,
  Ring, RingEnd, Said, SharedFile,
} from "./types";

type Fields = Record<string, unknown>;

const FUNCTIONS: readonly FunctionName[] = ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"];
const STATES: readonly MemberState[] = ["ringing", "in", "left", "refused"];
const ENDS: readonly RingEnd[] = ["accepted", "cancelled", "refused", "missed", "ended"];
const PRESENCES: readonly Presence[] = ["online", "busy", "offline"];

export function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function text(value: unknown, otherwise = ""): string {
  return typeof value === "string" ? value : otherwise;
}

function number(value: unknown, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

function oneOf<T extends string>(known: readonly T[], value: unknown, otherwise: T): T {
  return known.find((word) => word === value) ?? otherwise;
}

function list<T>(value: unknown, each: (entry: unknown) => T | null): T[] {
  return Array.isArray(value) ? value.map(each).filter((entry): entry is T => entry !== null) : [];
}

/** Milliseconds since 1970, from an ISO 8601 time or from seconds. */
export function time(value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value)) return value < 1e11 ? value * 1000 : value;
  const parsed = Date.parse(text(value));
  return Number.isNaN(parsed) ? 0 : parsed;
}

export function person(value: unknown): Person | null {
  const from = fields(value);
  const user = text(from.user);
  return user ? { user, displayName: text(from.displayName) || user } : null;
}

function listed(value: unknown): Listed | null {
  const who = person(value);
  return who && { ...who, presence: oneOf(PRESENCES, fields(value).presence, "offline") };
}

const media = (value: unknown): Media => (value === "video" ? "video" : "audio");

export function functions(value: unknown): FunctionName[] {
  return list(value, (entry) => FUNCTIONS.find((name) => name === entry) ?? null);
}

export function me(value: unknown): Me | null {
  const from = fields(value);
  const who = person(value);
  if (!who) return null;
  const community = fields(from.community);
  const limits = fields(from.limits);
  const name = text(community.name);
  return {
    ...who,
    community: { name, displayName: text(community.displayName) || name },
    functions: functions(from.functions),
    limits: { fileBytes: number(limits.fileBytes, 0), room: number(limits.room, 8) },
    ...drain(from),
  };
}

function drain(from: Fields): { draining: boolean; drainingUntil: number | null } {
  return { draining: from.draining === true, drainingUntil: time(from.drainingUntil) || null };
}

export function page(value: unknown): Page {
  const from = fields(value);
  return { users: list(from.users, listed), next: text(from.next) || null };
}

function member(value: unknown): Member | null {
  const who = person(value);
  return who && { ...who, state: oneOf(STATES, fields(value).state, "left") };
}

export function call(value: unknown): Call | null {
  const from = fields(value);
  const id = text(from.id);
  if (!id) return null;
  return { id, media: media(from.media), members: list(from.members, member), ended: from.ended === true };
}

function ring(value: unknown): Ring | null {
  const from = fields(value);
  const caller = person(from.from);
  const id = text(from.id);
  return id && caller ? { id, from: caller, media: media(from.media) } : null;
}

export function missed(value: unknown): Missed[] {
  return list(fields(value).missed, (entry) => {
    const of = ring(entry);
    return of && { ...of, at: time(fields(entry).at) };
  });
}

/** A sender is a user's name, or an object with it. */
function sender(value: unknown): string {
  return text(value) || text(fields(value).user);
}

export function message(value: unknown, conversation = ""): Message | null {
  const from = fields(value);
  const id = text(from.id);
  if (!id) return null;
  return {
    id,
    conversation: text(from.conversation) || conversation,
    from: sender(from.from),
    text: text(from.text),
    at: time(from.at),
  };
}

export function file(value: unknown, conversation = "", by = ""): SharedFile | null {
  const from = fields(value);
  const id = text(from.id);
  if (!id) return null;
  return {
    id,
    conversation: text(from.conversation) || conversation,
    from: sender(from.from) || by,
    name: text(from.name) || id,
    size: number(from.size, 0),
    at: time(from.at),
  };
}

export function history(value: unknown, conversation: string): History {
  const from = fields(value);
  return {
    // One conversation has one key here, whatever the server calls it: else what comes in parts would not meet.
    messages: list(from.messages, (entry) => message(entry, conversation)).map((one) => ({ ...one, conversation })),
    before: text(from.before) || null,
  };
}

export function files(value: unknown, conversation: string): SharedFile[] {
  return list(fields(value).files, (entry) => file(entry, conversation)).map((one) => ({ ...one, conversation }));
}

export function recents(value: unknown): Recent[] {
  return list(fields(value).conversations, (entry) => {
    const who = person(entry);
    const from = fields(entry);
    return who && { ...who, at: time(from.at), from: sender(from.from) };
  });
}

/** One text from the socket; null where it is nothing that these pages know. */
export function said(json: string): Said | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return null;
  }
  const from = fields(value);
  switch (from.type) {
    case "presence": {
      const users = Object.entries(fields(from.users));
      return {
        type: "presence",
        users: Object.fromEntries(users.map(([user, word]) => [user, oneOf(PRESENCES, word, "offline")])),
      };
    }
    case "ring": {
      const of = ring(from.call);
      return of && { type: "ring", call: of };
    }
    case "ring-ended":
      return { type: "ring-ended", call: text(from.call), why: oneOf(ENDS, from.why, "ended") };
    case "call": {
      const of = call(from.call);
      return of && { type: "call", call: of };
    }
    case "message": {
      const of = message(from.message);
      return of && { type: "message", message: of, who: person(from.who) };
    }
    case "file": {
      const of = file(from.file);
      return of && { type: "file", file: of, who: person(from.who) };
    }
    case "functions":
      return { type: "functions", functions: functions(from.functions) };
    case "draining":
      return { type: "draining", ...drain(from) };
    case "signed-out":
      return { type: "signed-out" };
    default:
      return null;
  }
}
