/** What the portal's API says. The server decides; the pages only show. */

export type FunctionName = "Audio" | "Video" | "Chat" | "DesktopSharing" | "FileSharing";
export type Presence = "online" | "busy" | "offline";
export type Media = "audio" | "video";
export type MemberState = "ringing" | "in" | "left" | "refused";
export type RingEnd = "accepted" | "cancelled" | "refused" | "missed" | "ended";

export interface Person {
  user: string;
  displayName: string;
}

export interface Listed extends Person {
  presence: Presence;
}

export interface Me extends Person {
  community: { name: string; displayName: string };
  functions: FunctionName[];
  limits: { fileBytes: number; room: number };
  draining: boolean;
  /** By when that is over at the latest; null where nobody knows. */
  drainingUntil: number | null;
}

export interface Page {
  users: Listed[];
  next: string | null;
}

export interface Member extends Person {
  state: MemberState;
}

export interface Call {
  id: string;
  media: Media;
  members: Member[];
  ended: boolean;
}

export interface Ring {
  id: string;
  from: Person;
  media: Media;
}

export interface Missed extends Ring {
  at: number;
}

/** `conversation` is what `placeKey` makes of a place: a user's name, or `calls/` and the call's id. */
export interface Message {
  id: string;
  conversation: string;
  from: string;
  text: string;
  at: number;
}

export interface SharedFile {
  id: string;
  conversation: string;
  from: string;
  name: string;
  size: number;
  at: number;
}

/** `before`: what to ask for to get the older ones; null where there are none. */
export interface History {
  messages: Message[];
  before: string | null;
}

/** A conversation of late: with whom, when the last was said in it, and by whom, where that is told. */
export interface Recent extends Person {
  at: number;
  from: string;
}

/** Where one writes: to a colleague, or to those in a call. */
export type Place = { kind: "user"; user: string } | { kind: "call"; call: string };

export type Said =
  | { type: "presence"; users: Record<string, Presence> }
  | { type: "ring"; call: Ring }
  | { type: "ring-ended"; call: string; why: RingEnd }
  | { type: "call"; call: Call }
  /** `who`: of two the other one, in a call who wrote. The directory comes by pages, and need not have told of him. */
  | { type: "message"; message: Message; who: Person | null }
  | { type: "file"; file: SharedFile; who: Person | null }
  | { type: "functions"; functions: FunctionName[] }
  | { type: "draining"; draining: boolean; drainingUntil: number | null }
  | { type: "signed-out" };

/** No name of a user has a slash. */
const IN_CALL = "calls/";

export function isOfCall(key: string): boolean {
  return key.startsWith(IN_CALL);
}

export function placeKey(place: Place): string {
  return place.kind === "user" ? place.user : `${IN_CALL}${place.call}`;
}

export function placeOf(key: string): Place {
  return isOfCall(key) ? { kind: "call", call: key.slice(IN_CALL.length) } : { kind: "user", user: key };
}
