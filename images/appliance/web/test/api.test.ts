import { describe, expect, it } from "vitest";
import { backoff } from "../src/api/backoff";
import { Api, ApiError } from "../src/api/client";
import * as parse from "../src/api/parse";
import { placeKey, placeOf } from "../src/api/types";
import { callRefusal, fileRefusal, loginRefusal } from "../src/control/refusals";

type Asked = { path: string; method: string; body: unknown };

/** A stand-in for `fetch` that notes what is asked. */
function answering(status: number, answer: unknown, headers: Record<string, string> = {}): { api: Api; asked: Asked[] } {
  const asked: Asked[] = [];
  const api = new Api((path, init) => {
    asked.push({ path, method: init?.method ?? "GET", body: init?.body ? JSON.parse(String(init.body)) : undefined });
    const body = status === 204 ? null : typeof answer === "string" ? answer : JSON.stringify(answer);
    return Promise.resolve(new Response(body, { status, headers }));
  });
  return { api, asked };
}

async function failure(of: Promise<unknown>): Promise<ApiError> {
  return of.then(() => { throw new Error("it did not fail"); }, (error: unknown) => error as ApiError);
}

describe("requests", () => {
  it("name users so that no name can be another path", async () => {
    const { api, asked } = answering(201, { id: "1", text: "hi" });
    await api.send({ kind: "user", user: "a/../b?c" }, "hi");
    expect(asked).toEqual([{ path: "/api/conversations/a%2F..%2Fb%3Fc/messages", method: "POST", body: { text: "hi" } }]);
  });
  it("ask for the next page of a search", async () => {
    const { api, asked } = answering(200, { users: [], next: null });
    await api.directory("", null);
    await api.directory("a b", "x=");
    expect(asked.map((one) => one.path)).toEqual(["/api/directory", "/api/directory?q=a+b&after=x%3D"]);
  });
  it("tell what was refused, and when to ask again", async () => {
    const { api } = answering(429, { error: "too-many" }, { "Retry-After": "7" });
    expect(await failure(api.login("ada", "x"))).toMatchObject({ status: 429, why: "too-many", retryAfter: 7 });
  });
  it("take a page that is no answer as none", async () => {
    const { api } = answering(200, "<html>a proxy</html>");
    expect((await failure(api.me())).status).toBe(0);
  });
  it("take a lost line as status 0", async () => {
    const api = new Api(() => Promise.reject(new TypeError("offline")));
    expect((await failure(api.me())).status).toBe(0);
  });
  it("know that a call is over by 404, and by its own word", async () => {
    expect(await answering(404, { error: "not-found" }).api.callNow("c")).toBeNull();
    expect(await answering(200, { id: "c", ended: true, members: [] }).api.callNow("c")).toBeNull();
    expect(await answering(200, { id: "c", ended: false, members: [] }).api.callNow("c")).toMatchObject({ id: "c" });
  });
});

describe("what arrives", () => {
  it("is nothing where it is nothing that these pages know", () => {
    for (const text of ["", "null", "[]", "{}", '{"type":"later"}', '{"type":"ring"}', '{"type":"call","call":{}}', '{"type":"message","message":7}']) {
      expect(parse.said(text)).toBeNull();
    }
  });
  it("has harmless values where something is missing or foreign", () => {
    expect(parse.said('{"type":"presence","users":{"bob":"asleep"}}')).toEqual({ type: "presence", users: { bob: "offline" } });
    expect(parse.me({ user: "ada", functions: ["Audio", "Flying", 3] })).toMatchObject({ displayName: "ada", functions: ["Audio"], limits: { room: 8 } });
    expect(parse.call({ id: "c", members: [{ user: "bob", state: "dreaming" }, 5, { state: "in" }] })?.members).toEqual([{ user: "bob", displayName: "bob", state: "left" }]);
  });
  it("has times as the portal writes them", () => {
    expect(parse.time("2026-11-29T12:00:00Z")).toBe(Date.UTC(2026, 10, 29, 12));
    expect(parse.time("2026-11-29T12:00:00.250000+00:00")).toBe(Date.UTC(2026, 10, 29, 12) + 250);
    expect(parse.time(1_700_000_000)).toBe(1_700_000_000_000);
    expect(parse.time("soon")).toBe(0);
  });
  it("belongs to one conversation, whatever the server calls it", () => {
    expect(parse.history({ messages: [{ id: "1", conversation: "ada bob", from: "bob", text: "x", at: 1 }], before: "1" }, "bob")).toMatchObject({
      messages: [{ conversation: "bob", from: "bob" }], before: "1",
    });
  });
});

it("a place has a name, and back", () => {
  for (const place of [{ kind: "user", user: "bob" }, { kind: "call", call: "c1" }] as const) expect(placeOf(placeKey(place))).toEqual(place);
});

it("the way back is tried soon, then seldom, and never by all at once", () => {
  expect([0, 1, 2, 3].map((attempt) => backoff(attempt, 15_000, () => 1))).toEqual([500, 1000, 2000, 4000]);
  expect(backoff(30, 15_000, () => 1)).toBe(15_000);
  expect(backoff(5, 15_000, () => 0)).toBe(7_500);
});

describe("refusals have a word of their own", () => {
  it("calls", () => {
    const words = [[0, ""], [403, "not-allowed"], [404, "not-found"], [409, "busy"], [409, "full"], [429, "too-many"], [503, "draining"], [503, "no-bandwidth"], [503, "community-full"], [409, "ended"], [500, "failed"]] as const;
    expect(words.map(([status, why]) => callRefusal(new ApiError(status, why)))).toEqual([
      "error.unreachable", "error.forbidden", "error.gone", "error.busy", "error.full", "error.many", "error.draining", "error.noBandwidth", "error.communityFull", "error.gone", "error.failed",
    ]);
  });
  it("files and login", () => {
    expect([403, 413, 507, 503, 0].map((status) => fileRefusal(new ApiError(status)))).toEqual(["file.refused", "file.tooLarge", "file.full", "file.draining", "file.failed"]);
    expect([0, 401, 429, 500].map((status) => loginRefusal(new ApiError(status)))).toEqual(["login.unreachable", "login.wrong", "login.later", "login.failed"]);
    expect(callRefusal(new Error("a bug"))).toBe("error.failed");
  });
});
