/** Calls: what rings, the one that this page is in, one that another page of the same user is in, missed ones. */
import type { Call, Missed, Ring, Said } from "../api/types";
import type { Event } from "./events";

export interface Current {
  call: Call;
  /** Somebody else was in it at some time: so it is over, and not unanswered, when he has left. */
  answered: boolean;
}

export interface Calls {
  ringing: Ring[];
  current: Current | null;
  /** A request to begin or to take a call is on its way. */
  joining: boolean;
  elsewhere: Call | null;
  missed: Missed[];
  /** Missed calls until then were looked at. */
  seenAt: number;
}

export const noCalls: Calls = {
  ringing: [], current: null, joining: false, elsewhere: null, missed: [], seenAt: 0,
};

export function calls(state: Calls, event: Event, me: string): Calls {
  switch (event.type) {
    case "joining":
      return { ...state, joining: true };
    case "join-failed":
      return { ...state, joining: false };
    case "joined":
      return {
        ...state,
        joining: false,
        ringing: state.ringing.filter((ring) => ring.id !== event.call.id),
        current: { call: event.call, answered: answeredBy(event.call, me) },
        elsewhere: null,
      };
    case "left":
      return {
        ...state,
        current: state.current?.call.id === event.id ? null : state.current,
        elsewhere: state.elsewhere?.id === event.id ? null : state.elsewhere,
      };
    case "ring-over":
      return { ...state, ringing: state.ringing.filter((ring) => ring.id !== event.id) };
    case "elsewhere":
      return state.current ? state : { ...state, elsewhere: event.call };
    case "missed":
      return { ...state, missed: event.missed };
    case "missed-seen":
      return { ...state, seenAt: Math.max(state.seenAt, event.at) };
    case "said":
      return told(state, event.said, me);
    default:
      return state;
  }
}

function told(state: Calls, said: Said, me: string): Calls {
  switch (said.type) {
    case "ring":
      if (state.ringing.some((ring) => ring.id === said.call.id)) return state;
      return { ...state, ringing: [...state.ringing, said.call] };
    case "ring-ended":
      return {
        ...state,
        ringing: state.ringing.filter((ring) => ring.id !== said.call),
        elsewhere: said.why === "ended" && state.elsewhere?.id === said.call ? null : state.elsewhere,
        current: said.why === "ended" ? ended(state.current, said.call) : state.current,
      };
    case "call":
      return changed(state, said.call, me);
    default:
      return state;
  }
}

export function unseenOf(state: Calls): number {
  return state.missed.filter((call) => call.at > state.seenAt).length;
}

function ended(current: Current | null, id: string): Current | null {
  return current?.call.id === id ? { ...current, call: { ...current.call, ended: true } } : current;
}

function changed(before: Calls, call: Call, me: string): Calls {
  // Another tab with the same login answered: this one is not told that the ringing is over.
  const rings = !call.ended && call.members.some((member) => member.user === me && member.state === "ringing");
  const state = rings ? before : { ...before, ringing: before.ringing.filter((ring) => ring.id !== call.id) };
  if (state.current?.call.id === call.id) {
    return { ...state, current: { call, answered: state.current.answered || answeredBy(call, me) } };
  }
  if (state.current || state.joining) return state;
  const inIt = !call.ended && call.members.some((member) => member.user === me && member.state === "in");
  if (inIt) return { ...state, elsewhere: call };
  return state.elsewhere?.id === call.id ? { ...state, elsewhere: null } : state;
}

function answeredBy(call: Call, me: string): boolean {
  return call.members.some((member) => member.user !== me && member.state === "in");
}

export type Verdict = "waiting" | "on" | "refused" | "unanswered" | "over";

/** What a call is to the one who is in it. With nobody left who is in it or rings, it is at its end. */
export function verdict(current: Current, me: string): Verdict {
  const others = current.call.members.filter((member) => member.user !== me);
  const any = (state: string): boolean => others.some((member) => member.state === state);
  if (current.call.ended) return current.answered ? "over" : any("refused") ? "refused" : "unanswered";
  if (any("in")) return "on";
  if (any("ringing")) return "waiting";
  if (current.answered) return "over";
  return any("refused") ? "refused" : "unanswered";
}

/** Whether it rings over there, and nobody is there yet to talk to. */
export function mayHear(current: Current, me: string): boolean {
  return !current.answered && verdict(current, me) === "waiting";
}
