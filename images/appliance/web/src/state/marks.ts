/**
 * How far one has looked: at missed calls, and at each conversation. Pure; `control/marks.ts` keeps it in the browser.
 *
 * `floor` holds for whatever has no mark of its own: after signing out it is all that is kept, so that nothing tells the
 * next one at the same screen with whom somebody writes.
 */
import type { Recent } from "../api/types";
import { isOfCall } from "../api/types";
import type { Chat } from "./chat";

export interface Marks {
  floor: number;
  missed: number;
  read: Record<string, number>;
}

export const noMarks: Marks = { floor: 0, missed: 0, read: {} };
const MOST = 200;

export function parseMarks(stored: unknown): Marks {
  if (typeof stored !== "object" || stored === null) return noMarks;
  const { floor, missed, read } = stored as Record<string, unknown>;
  const time = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : 0);
  const entries = typeof read === "object" && read !== null ? Object.entries(read) : [];
  return { floor: time(floor), missed: time(missed), read: Object.fromEntries(entries.map(([user, at]) => [user, time(at)])) };
}

/** With what the open conversation shows; the same object where that is nothing new. */
export function withOpen(marks: Marks, chat: Chat): Marks {
  const { open } = chat;
  if (!open || isOfCall(open)) return marks;
  const conversation = chat.conversations[open];
  const newest = Math.max(0, conversation?.messages.at(-1)?.at ?? 0, conversation?.files.at(-1)?.at ?? 0);
  if (newest <= (marks.read[open] ?? 0)) return marks;
  const entries = Object.entries({ ...marks.read, [open]: newest }).sort(([, a], [, b]) => b - a);
  return { ...marks, read: Object.fromEntries(entries.slice(0, MOST)) };
}

/** Whether somebody wrote what was not read. */
export function isUnread(marks: Marks, recent: Recent, me: string): boolean {
  return recent.from !== me && recent.at > (marks.read[recent.user] ?? marks.floor);
}
