import { describe, expect, it } from "vitest";
import { said } from "../src/api/parse";
import type { Call, Me, Message } from "../src/api/types";
import { mayHear, unseenOf, verdict } from "../src/state/calls";
import { unreadOf } from "../src/state/chat";
import type { Event } from "../src/state/events";
import { type Marks, noMarks, parseMarks, withOpen } from "../src/state/marks";
import { nameOf, toWatch } from "../src/state/people";
import { formatRoute, parseRoute } from "../src/state/route";
import { type State, initialState, may, reduce } from "../src/state/state";

const ADA: Me = {
  user: "ada", displayName: "Ada L.", community: { name: "acme", displayName: "Acme" },
  functions: ["Audio", "Chat"], limits: { fileBytes: 10, room: 8 }, draining: false, drainingUntil: null,
};

function after(...events: Event[]): State {
  return [{ type: "started", me: ADA } as Event, ...events].reduce(reduce, initialState({ at: "people" }));
}

function call(states: Record<string, "ringing" | "in" | "left" | "refused">, ended = false): Call {
  const members = Object.entries(states).map(([user, state]) => ({ user, displayName: user, state }));
  return { id: "c1", media: "audio", members, ended };
}

const joined = (of: Call): Event => ({ type: "joined", call: of });
const told = (of: Call): Event => ({ type: "said", said: { type: "call", call: of } });
const ring = { id: "c1", from: { user: "bob", displayName: "Bob" }, media: "audio" as const };
const rings: Event = { type: "said", said: { type: "ring", call: ring } };
const message = (id: string, from: string, conversation: string, at = 1): Message => ({ id, from, conversation, text: id, at });
const says = (of: Message): Event => ({ type: "said", said: { type: "message", message: of, who: null } });

describe("a call, to the one who is in it", () => {
  const verdictOf = (state: State): string => (state.calls.current ? verdict(state.calls.current, "ada") : "none");

  it("waits while it rings over there, and lets one hear it", () => {
    const state = after(joined(call({ ada: "in", bob: "ringing" })));
    expect(verdictOf(state)).toBe("waiting");
    expect(state.calls.current && mayHear(state.calls.current, "ada")).toBe(true);
  });
  it("is on when somebody answers, and another one who rings is not heard", () => {
    const state = after(joined(call({ ada: "in", bob: "ringing" })), told(call({ ada: "in", bob: "in" })), told(call({ ada: "in", bob: "in", cyd: "ringing" })));
    expect(verdictOf(state)).toBe("on");
    expect(state.calls.current && mayHear(state.calls.current, "ada")).toBe(false);
  });
  it("is over when the other one leaves", () => {
    expect(verdictOf(after(joined(call({ ada: "in", bob: "in" })), told(call({ ada: "in", bob: "left" }))))).toBe("over");
  });
  it("is refused, or unanswered, when nobody was in it", () => {
    expect(verdictOf(after(joined(call({ ada: "in", bob: "ringing" })), told(call({ ada: "left", bob: "refused" }, true))))).toBe("refused");
    expect(verdictOf(after(joined(call({ ada: "in", bob: "ringing" })), told(call({ ada: "left", bob: "left" }, true))))).toBe("unanswered");
  });
  it("goes on when one of three leaves", () => {
    expect(verdictOf(after(joined(call({ ada: "in", bob: "in", cyd: "in" })), told(call({ ada: "in", bob: "left", cyd: "in" }))))).toBe("on");
  });
  it("is over when the portal says so, whoever seems to be in it", () => {
    expect(verdictOf(after(joined(call({ ada: "in", bob: "in" })), told(call({ ada: "in", bob: "in" }, true))))).toBe("over");
  });
  it("is of another page while this one is not in it, and no more when it ended", () => {
    expect(after(told(call({ ada: "in", bob: "in" }))).calls.elsewhere?.id).toBe("c1");
    expect(after(told(call({ ada: "in", bob: "in" })), told(call({ ada: "left", bob: "left" }, true))).calls.elsewhere).toBeNull();
    expect(after({ type: "joining" }, told(call({ ada: "in", bob: "in" }))).calls.elsewhere).toBeNull();
  });
});

describe("what rings", () => {
  it("rings once, also when it is told twice", () => {
    expect(after(rings, rings).calls.ringing).toHaveLength(1);
  });
  it("rings no more when it is accepted here, when it ended, and when another tab answered", () => {
    expect(after(rings, joined(call({ ada: "in", bob: "in" }))).calls.ringing).toEqual([]);
    expect(after(rings, { type: "said", said: { type: "ring-ended", call: "c1", why: "missed" } }).calls.ringing).toEqual([]);
    expect(after(rings, told(call({ ada: "in", bob: "in" }))).calls.ringing).toEqual([]);
  });
  it("goes on when another one is called as well", () => {
    expect(after(rings, told(call({ ada: "ringing", bob: "in", cyd: "ringing" }))).calls.ringing).toHaveLength(1);
  });
});

describe("what was written while one was away", () => {
  const recent = (from: string, at: number) => ({ user: "bob", displayName: "Bob", from, at });
  const unread = (marks: Marks, from: string, at: number): number => unreadOf(after({ type: "recents", recents: [recent(from, at)], marks }).chat);
  it("is unread when the other one wrote it, later than one has looked", () => {
    const marks = { ...noMarks, floor: 10, read: { bob: 20 } };
    expect([unread(marks, "bob", 21), unread(marks, "bob", 20), unread(marks, "ada", 21)]).toEqual([1, 0, 0]);
    expect([unread({ ...marks, read: {} }, "bob", 11), unread({ ...marks, read: {} }, "bob", 10)]).toEqual([1, 0]);
  });
  it("is read when its conversation is open, and that is kept", () => {
    const state = after({ type: "chat-open", key: "bob" }, says(message("1", "bob", "bob", 30)));
    const marks = withOpen(noMarks, state.chat);
    expect(marks.read).toEqual({ bob: 30 });
    expect(withOpen(marks, state.chat)).toBe(marks);
    expect(parseMarks(JSON.parse(JSON.stringify(marks)))).toEqual(marks);
  });
  it("has no mark where the browser keeps nonsense", () => {
    for (const stored of [null, 7, "x", { read: 3 }, { floor: "now" }]) expect(parseMarks(stored)).toEqual(noMarks);
  });
});

it("missed calls count until they were looked at", () => {
  const missed: Event = { type: "missed", missed: [{ ...ring, at: 20 }, { ...ring, at: 10 }] };
  expect(unseenOf(after(missed).calls)).toBe(2);
  expect(unseenOf(after(missed, { type: "missed-seen", at: 10 }).calls)).toBe(1);
  expect(unseenOf(after(missed, { type: "missed-seen", at: 20 }, { type: "missed-seen", at: 10 }).calls)).toBe(0);
});

describe("messages", () => {
  it("are unread until their conversation is open, and those of one's own never are", () => {
    const state = after(says(message("1", "bob", "bob")), says(message("2", "bob", "bob")), says(message("3", "ada", "bob")));
    expect(unreadOf(state.chat)).toBe(2);
    expect(unreadOf(reduce(state, { type: "chat-open", key: "bob" }).chat)).toBe(0);
    expect(unreadOf(after({ type: "chat-open", key: "bob" }, says(message("1", "bob", "bob"))).chat)).toBe(0);
  });
  it("are there once, whoever tells of them first", () => {
    const place = { kind: "user" as const, user: "bob" };
    const sending: Event = { type: "sending", place, local: "m1", text: "hi", at: 5 };
    const state = after(sending, says(message("1", "ada", "bob", 6)), { type: "sent", local: "m1", message: message("1", "ada", "bob", 6) });
    expect(state.chat.conversations.bob?.messages).toHaveLength(1);
    expect(state.chat.conversations.bob?.sending).toEqual([]);
  });
  it("that were not sent stay, and are sent again in place", () => {
    const place = { kind: "user" as const, user: "bob" };
    const sending: Event = { type: "sending", place, local: "m1", text: "hi", at: 5 };
    const failed = after(sending, { type: "not-sent", place, local: "m1" });
    expect(failed.chat.conversations.bob?.sending).toMatchObject([{ local: "m1", failed: true }]);
    expect(reduce(failed, sending).chat.conversations.bob?.sending).toMatchObject([{ local: "m1", failed: false }]);
  });
  it("are in order, and older ones come in above", () => {
    const place = { kind: "user" as const, user: "bob" };
    const page = (ids: [string, number][], before: string | null, older: boolean): Event => ({
      type: "history", place, files: [], older, history: { messages: ids.map(([id, at]) => message(id, "bob", "bob", at)), before },
    });
    const state = after(page([["3", 3], ["4", 4]], "3", false), page([["1", 1], ["2", 2]], null, true));
    expect(state.chat.conversations.bob?.messages.map((one) => one.id)).toEqual(["1", "2", "3", "4"]);
    expect(state.chat.conversations.bob?.before).toBeNull();
    // After a lost connection the newest are read again: how far back one had read stays.
    expect(reduce(state, page([["4", 4], ["5", 5]], "4", false)).chat.conversations.bob?.before).toBeNull();
  });
  it("of a call leave no mark when the call is left", () => {
    const state = after(joined(call({ ada: "in", bob: "in" })), says(message("1", "bob", "calls/c1")));
    expect(unreadOf(state.chat)).toBe(1);
    expect(unreadOf(reduce(state, { type: "left", id: "c1" }).chat)).toBe(0);
    expect(state.chat.recent).toEqual([]);
  });
  it("bring their conversation to the top", () => {
    expect(after(says(message("1", "bob", "bob")), says(message("2", "cyd", "cyd")), says(message("3", "bob", "bob"))).chat.recent).toEqual(["bob", "cyd"]);
  });
});

describe("people", () => {
  const page = (q: string, more: boolean, ...users: string[]): Event => ({
    type: "directory-page", q, more, page: { users: users.map((user) => ({ user, displayName: user, presence: "offline" })), next: null },
  });
  it("of a search that was overtaken are not shown", () => {
    expect(after({ type: "directory-asked", q: "bo", more: false }, page("b", false, "bea")).people.users).toEqual([]);
  });
  it("that two pages share are shown once", () => {
    const state = after({ type: "directory-asked", q: "", more: false }, page("", false, "bob", "cyd"), page("", true, "cyd", "dan"));
    expect(state.people.users.map((user) => user.user)).toEqual(["bob", "cyd", "dan"]);
  });
  it("have their names with what they wrote, whether or not the directory was read that far", () => {
    const who = { user: "zoe", displayName: "Zoe Neri" };
    const state = after({ type: "said", said: { type: "message", message: message("1", "zoe", "zoe"), who } });
    expect(nameOf(state.people, "zoe")).toBe("Zoe Neri");
  });
  it("are watched up to 200, each once", () => {
    const many = Array.from({ length: 300 }, (_, index) => `u${index}`);
    expect(toWatch(["a", "b", "a"], ["b", "c"])).toEqual(["a", "b", "c"]);
    expect(toWatch(many, ["z"])).toHaveLength(200);
  });
});

it("a function that is taken away is gone at once", () => {
  const state = after({ type: "said", said: { type: "functions", functions: ["Chat"] } });
  expect(may(state, "Audio")).toBe(false);
  expect(may(state, "Chat")).toBe(true);
});

it("until when it drains is told by the time, or not at all", () => {
  const drained = (text: string): State => {
    const heard = said(text);
    return heard ? after({ type: "said", said: heard }) : after();
  };
  const known = drained('{"type":"draining","draining":true,"drainingUntil":"2026-11-30T22:15:00Z"}').me;
  expect([known?.draining, known?.drainingUntil]).toEqual([true, Date.UTC(2026, 10, 30, 22, 15)]);
  const unknown = drained('{"type":"draining","draining":true,"drainingUntil":"tonight"}').me;
  expect([unknown?.draining, unknown?.drainingUntil]).toEqual([true, null]);
});

it("nothing of one user is left when he is signed out", () => {
  const state = reduce(after(says(message("1", "bob", "bob")), rings), { type: "signed-out", why: "by-server" });
  expect(state).toEqual({ ...initialState({ at: "people" }), phase: "signed-out", signedOut: "by-server" });
});

it("routes survive the way through the address", () => {
  for (const route of [{ at: "people" }, { at: "missed" }, { at: "with", user: "a/b%c@d" }] as const) {
    expect(parseRoute(formatRoute(route))).toEqual(route);
  }
  expect(parseRoute("#/with/%")).toEqual({ at: "people" });
  expect(parseRoute("#/nonsense")).toEqual({ at: "people" });
});
