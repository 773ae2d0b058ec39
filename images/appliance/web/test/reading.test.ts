import { describe, expect, it } from "vitest";
import { clock, day, duration, initials, size, soon, tint } from "../src/i18n/format";
import { LANGUAGES, TABLES, preferred, translate } from "../src/i18n/translate";
import type { Entry, Key } from "../src/i18n/words";
import { noConversation } from "../src/state/chat";
import { linked, timeline } from "../src/state/timeline";

const MINUTE = 60_000;

describe("a conversation as it is read", () => {
  const said = (id: string, from: string, at: number) => ({ id, from, at, text: id, conversation: "bob" });
  const read = (...messages: ReturnType<typeof said>[]) =>
    timeline({ ...noConversation, messages }, "ada", (at) => Math.floor(at / (1000 * MINUTE))).map((group) => ({
      from: group.from, day: group.day, ids: group.entries.map((entry) => entry.key),
    }));

  it("puts together what one says within five minutes", () => {
    expect(read(said("1", "bob", 0), said("2", "bob", 4 * MINUTE), said("3", "bob", 10 * MINUTE), said("4", "ada", 11 * MINUTE))).toEqual([
      { from: "bob", day: 0, ids: ["1", "2"] },
      { from: "bob", day: null, ids: ["3"] },
      { from: "ada", day: null, ids: ["4"] },
    ]);
  });
  it("begins anew with each day", () => {
    expect(read(said("1", "bob", 999 * MINUTE), said("2", "bob", 1000 * MINUTE)).map((group) => group.day)).toEqual([0, 1]);
  });
  it("has files, and what is on its way, where they belong", () => {
    const conversation = {
      ...noConversation,
      messages: [said("m", "bob", 1)],
      files: [{ id: "f", from: "ada", at: 2, name: "a.pdf", size: 1, conversation: "bob" }],
      sending: [{ local: "s", text: "x", at: 3, failed: false }],
      uploads: [{ local: "u", name: "b", size: 9, sent: 1, at: 4, problem: null }],
    };
    expect(timeline(conversation, "ada").flatMap((group) => group.entries.map((entry) => entry.kind))).toEqual(["message", "file", "sending", "upload"]);
  });
});

describe("addresses in a text", () => {
  it("become links, without the marks of the sentence", () => {
    expect(linked("See https://example.com/a?b=c, or (http://example.org).")).toEqual([
      { text: "See ", href: null },
      { text: "https://example.com/a?b=c", href: "https://example.com/a?b=c" },
      { text: ", or (", href: null },
      { text: "http://example.org", href: "http://example.org" },
      { text: ").", href: null },
    ]);
  });
  it("are http alone: what could run a script stays a word", () => {
    for (const text of ["javascript:alert(1)", "data:text/html,x", "<b>no</b>", "https://", ""]) {
      expect(linked(text).every((part) => part.href === null)).toBe(true);
    }
  });
});

describe("every language", () => {
  const holes = (entry: Entry): string[] =>
    [...new Set((typeof entry === "string" ? [entry] : Object.values(entry)).flatMap((form) => form.match(/\{\w+\}/g) ?? []))].sort();
  it.each(LANGUAGES)("%s has each text, with the same things to put in", (language) => {
    const keys = Object.keys(TABLES.en) as Key[];
    expect(Object.keys(TABLES[language]).sort()).toEqual([...keys].sort());
    for (const key of keys) expect([key, holes(TABLES[language][key])]).toEqual([key, holes(TABLES.en[key])]);
  });
  it("counts as it is said", () => {
    expect(translate("en", "people.unread", { count: 1 })).toBe("1 new message");
    expect(translate("it", "people.unread", { count: 3 })).toBe("3 nuovi messaggi");
  });
  it("leaves a hole open rather than say undefined", () => {
    expect(translate("en", "call.joined")).toBe("{name} is in the call");
  });
  it("is the first that the browser wants and we have", () => {
    expect(preferred(["de-DE", "it-CH", "en"])).toBe("it");
    expect(preferred(["de-DE"])).toBe("en");
  });
});

describe("what is written", () => {
  it("durations", () => {
    expect([duration(-5), duration(67_000), duration(3_605_000)]).toEqual(["0:00", "1:07", "1:00:05"]);
  });
  it("sizes", () => {
    expect([size(0, "en"), size(20_000_000, "en"), size(1500, "en")]).toEqual(["0 byte", "20 MB", "2 kB"]);
  });
  it("times of day, as in Europe", () => {
    const at = new Date(2026, 10, 29, 20, 5).getTime();
    expect([clock(at, "en"), clock(at, "it")]).toEqual(["20:05", "20:05"]);
  });
  it("times that are to come, with their day where that is not today", () => {
    const now = new Date(2026, 10, 29, 20, 5).getTime();
    expect([soon(now + 600_000, now, "en"), soon(now + 6 * 3_600_000, now, "en")]).toEqual(["20:15", "Monday 02:05"]);
    expect(soon(now + 6 * 3_600_000, now, "it")).toContain("lunedì");
  });
  it("days", () => {
    const now = new Date(2026, 10, 29, 12).getTime();
    expect(day(now, now, "en")).toBe("Today");
    expect(day(now - 86_400_000, now, "it")).toBe("Ieri");
    expect(day(new Date(2025, 0, 2).getTime(), now, "en")).toContain("2025");
  });
  it("letters and colours of people", () => {
    expect(["Ada Lovelace", "bob", "Zoë de Vries", "", "…"].map(initials)).toEqual(["AL", "BO", "ZV", "?", "?"]);
    expect(tint("ada")).toBe(tint("ada"));
  });
});
