/** A conversation as it is read: by day, by who speaks, with links as links. Pure. */
import type { Conversation, Sending, Uploading } from "./chat";
import type { Message, SharedFile } from "../api/types";

export type Entry =
  | { kind: "message"; key: string; from: string; at: number; message: Message }
  | { kind: "file"; key: string; from: string; at: number; file: SharedFile }
  | { kind: "sending"; key: string; from: string; at: number; sending: Sending }
  | { kind: "upload"; key: string; from: string; at: number; upload: Uploading };

export interface Group {
  key: string;
  /** Start of a new day: the pages show its date above. */
  day: number | null;
  from: string;
  at: number;
  entries: Entry[];
}

const TOGETHER_MS = 5 * 60_000;

export function timeline(conversation: Conversation, me: string, dayOf: (at: number) => number = localDay): Group[] {
  const groups: Group[] = [];
  let day: number | null = null;
  for (const entry of entriesOf(conversation, me)) {
    const last = groups.at(-1);
    const of = dayOf(entry.at);
    if (last && of === day && last.from === entry.from && entry.at - (last.entries.at(-1)?.at ?? 0) < TOGETHER_MS) {
      last.entries.push(entry);
      continue;
    }
    groups.push({ key: entry.key, day: of === day ? null : of, from: entry.from, at: entry.at, entries: [entry] });
    day = of;
  }
  return groups;
}

function entriesOf(conversation: Conversation, me: string): Entry[] {
  const entries: Entry[] = [
    ...conversation.messages.map((message): Entry => ({
      kind: "message", key: message.id, from: message.from, at: message.at, message,
    })),
    ...conversation.files.map((file): Entry => ({ kind: "file", key: file.id, from: file.from, at: file.at, file })),
    ...conversation.sending.map((sending): Entry => ({
      kind: "sending", key: sending.local, from: me, at: sending.at, sending,
    })),
    ...conversation.uploads.map((upload): Entry => ({
      kind: "upload", key: upload.local, from: me, at: upload.at, upload,
    })),
  ];
  return entries.sort((a, b) => a.at - b.at);
}

/** Midnight before. */
export function localDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

export type Part = { text: string; href: string | null };

const ADDRESS = /https?:\/\/[^\s<>"'`]+/gi;

/** Text and addresses, in order. Only http and https become links: `javascript:` stays a word. */
export function linked(text: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = match[0].replace(/[.,;:!?)\]}]+$/, ""); // a sentence's own marks
    if (!URL.canParse(address)) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), href: null });
    parts.push({ text: address, href: address });
    end = match.index + address.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), href: null });
  return parts;
}
