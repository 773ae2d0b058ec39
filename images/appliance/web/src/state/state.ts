/** All that the pages show, and the one function that changes it. */
import type { FunctionName, Me } from "../api/types";
import { type Calls, calls, noCalls } from "./calls";
import { type Chat, chat, noChat } from "./chat";
import type { Words } from "../i18n/words";
import type { Event, ToastKind } from "./events";
import { type People, noPeople, people } from "./people";
import type { Route } from "./route";

export interface Toast {
  id: number;
  kind: ToastKind;
  words: Words;
}

export interface State {
  phase: "starting" | "signed-out" | "signed-in";
  /** Why the login is shown: one whom the server signed out wants to know that he did nothing wrong. */
  signedOut: "asked" | "by-server" | "none";
  me: Me | null;
  online: boolean;
  route: Route;
  people: People;
  chat: Chat;
  calls: Calls;
  toasts: Toast[];
}

export function initialState(route: Route): State {
  return {
    phase: "starting", signedOut: "none", me: null, online: true, route,
    people: noPeople, chat: noChat, calls: noCalls, toasts: [],
  };
}

export function reduce(state: State, event: Event): State {
  if (event.type === "signed-out") {
    // Nothing of one user may be left for the next one at the same screen.
    return { ...initialState({ at: "people" }), phase: "signed-out", signedOut: event.why };
  }
  const me = state.me?.user ?? "";
  return {
    ...session(state, event),
    people: people(state.people, event),
    chat: chat(state.chat, event, me),
    calls: calls(state.calls, event, me),
  };
}

function session(state: State, event: Event): State {
  switch (event.type) {
    case "started":
      return { ...state, phase: "signed-in", me: event.me, signedOut: "none" };
    case "online":
      return { ...state, online: event.online };
    case "route":
      return { ...state, route: event.route };
    case "toast":
      return { ...state, toasts: [...state.toasts.slice(-3), { id: event.id, kind: event.kind, words: event.words }] };
    case "toast-gone":
      return { ...state, toasts: state.toasts.filter((toast) => toast.id !== event.id) };
    case "said":
      if (!state.me) return state;
      if (event.said.type === "functions") return { ...state, me: { ...state.me, functions: event.said.functions } };
      if (event.said.type === "draining") {
        return { ...state, me: { ...state.me, draining: event.said.draining, drainingUntil: event.said.drainingUntil } };
      }
      return state;
    default:
      return state;
  }
}

export function may(state: State, name: FunctionName): boolean {
  return state.me?.functions.includes(name) ?? false;
}

/** A call needs something to send: with neither voice nor picture there is nothing to begin it with. */
export function mayCall(state: State, media: "audio" | "video"): boolean {
  return may(state, media === "video" ? "Video" : "Audio");
}
