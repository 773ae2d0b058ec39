import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Api } from "../src/api/client";
import type { Call, Me, MemberState } from "../src/api/types";
import { Calling } from "../src/control/calling";
import { Context } from "../src/control/context";
import type { CallMedia } from "../src/media/room";
import type { Tones } from "../src/media/tones";
import { initialState } from "../src/state/state";
import { Store } from "../src/state/store";

const ADA: Me = {
  user: "ada", displayName: "Ada L.", community: { name: "acme", displayName: "Acme" },
  functions: ["Audio"], limits: { fileBytes: 10, room: 8 }, draining: false, drainingUntil: null,
};

function call(bob: MemberState, ended = false): Call {
  const members = [{ user: "ada", displayName: "Ada", state: "in" as const }, { user: "bob", displayName: "Bob", state: bob }];
  return { id: "c1", media: "audio", members, ended };
}

/** Ada is in a call that Bob is in, or that rings at his; what becomes of it, and what she is told. */
function after(before: MemberState, next: Call): { inCall: boolean; told: string[]; left: number } {
  let left = 0;
  const store = new Store(initialState({ at: "call" }));
  const context = new Context(store, { leave: () => Promise.resolve() } as unknown as Api);
  const calling = new Calling(context, { stop: vi.fn(), loop: vi.fn(), unlock: vi.fn() } as unknown as Tones);
  store.dispatch({ type: "started", me: ADA });
  store.dispatch({ type: "joined", call: call(before) });
  calling.media = { get: () => ({}), leave: () => Promise.resolve(void left++) } as unknown as CallMedia;
  store.dispatch({ type: "said", said: { type: "call", call: next } });
  return { inCall: store.get().calls.current !== null, told: store.get().toasts.map((toast) => toast.words[0]), left };
}

describe("a call that the other one ends", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("location", { hash: "#/call", origin: "https://meet.example.com" });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("is over once, and that is said once", () => {
    expect(after("in", call("left", true))).toEqual({ inCall: false, told: ["call.over"], left: 1 });
  });
  it("was declined", () => {
    expect(after("ringing", call("refused", true))).toEqual({ inCall: false, told: ["call.refusedBy"], left: 1 });
  });
  it("was not answered", () => {
    expect(after("ringing", call("left", true))).toEqual({ inCall: false, told: ["call.unanswered"], left: 1 });
  });
});
