/** Everything that can change what the pages show. */
import type { Call, History, Me, Message, Missed, Page, Place, Recent, Said, SharedFile } from "../api/types";
import type { Key, Words } from "../i18n/words";
import type { Marks } from "./marks";
import type { Route } from "./route";

export type ToastKind = "info" | "problem";

export type Event =
  | { type: "started"; me: Me }
  | { type: "signed-out"; why: "asked" | "by-server" | "none" }
  | { type: "online"; online: boolean }
  | { type: "said"; said: Said }
  | { type: "route"; route: Route }
  | { type: "directory-asked"; q: string; more: boolean }
  | { type: "directory-page"; q: string; more: boolean; page: Page }
  | { type: "directory-failed"; q: string }
  | { type: "recents"; recents: Recent[]; marks: Marks }
  | { type: "chat-open"; key: string | null }
  | { type: "history-asked"; place: Place }
  | { type: "history"; place: Place; history: History; files: SharedFile[]; older: boolean }
  | { type: "history-failed"; place: Place; closed: boolean }
  | { type: "sending"; place: Place; local: string; text: string; at: number }
  | { type: "sent"; local: string; message: Message }
  | { type: "not-sent"; place: Place; local: string }
  | { type: "upload"; place: Place; local: string; name: string; size: number; at: number }
  | { type: "upload-progress"; place: Place; local: string; sent: number }
  | { type: "upload-failed"; place: Place; local: string; problem: Key }
  | { type: "upload-gone"; place: Place; local: string }
  | { type: "uploaded"; local: string; file: SharedFile }
  | { type: "joining" }
  | { type: "joined"; call: Call }
  | { type: "join-failed" }
  | { type: "left"; id: string }
  | { type: "ring-over"; id: string }
  | { type: "elsewhere"; call: Call | null }
  | { type: "missed"; missed: Missed[] }
  | { type: "missed-seen"; at: number }
  | { type: "toast"; id: number; kind: ToastKind; words: Words }
  | { type: "toast-gone"; id: number };
