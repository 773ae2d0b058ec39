import { describe, expect, it } from "vitest";
import type { Member } from "../src/api/types";
import { CONNECTION, MOST_PICTURES, PICTURE, PICTURES, VOICE_WITH_RED } from "../src/media/budget";
import { meterLevel } from "../src/media/devices";
import { userOf } from "../src/media/identity";
import { type Picture, choosePictures } from "../src/media/pictures";
import { afterLoss, deviceProblem, lineProblem } from "../src/media/problems";
import type { Seat } from "../src/media/seats";
import { mainOf, tilesOf } from "../src/state/tiles";

describe("pictures within the budget of a connection", () => {
  const picture = (id: string, over: Partial<Picture> = {}): Picture => ({ id, kind: "camera", spokeAt: 0, pinned: false, ...over });
  const chosen = (...pictures: Picture[]): string => [...choosePictures(pictures, PICTURES, MOST_PICTURES, PICTURE)].map(([id, size]) => `${id} ${size}`).join(", ");
  const taken = (...pictures: Picture[]): number =>
    pictures.reduce((sum, one) => {
      const size = choosePictures(pictures, PICTURES, MOST_PICTURES, PICTURE).get(one.id);
      return sum + (size === "off" ? 0 : one.kind === "screen" ? PICTURE.screen : size === "large" ? PICTURE.large : PICTURE.small);
    }, 0);

  it("one is large", () => expect(chosen(picture("a"))).toBe("a large"));
  it("of two the one who spoke last is large", () => expect(chosen(picture("a"), picture("b", { spokeAt: 5 }))).toBe("a small, b large"));
  it("four are small, and of five one stands still: who spoke longest ago", () => {
    const five = ["a", "b", "c", "d", "e"].map((id, index) => picture(id, { spokeAt: index + 1 }));
    expect(chosen(...five)).toBe("a off, b small, c small, d small, e small");
  });
  it("who is pinned moves, though he never spoke", () => {
    const five = ["a", "b", "c", "d", "e"].map((id, index) => picture(id, { spokeAt: index, pinned: id === "a" }));
    expect(chosen(...five)).toContain("a small");
  });
  it("a desktop leaves room for one small picture", () => {
    expect(chosen(picture("s", { kind: "screen" }), picture("a"), picture("b", { spokeAt: 1 }))).toBe("s large, a off, b small");
  });
  it("never take more than there is", () => {
    for (let cameras = 0; cameras <= 7; cameras++) {
      for (let screens = 0; screens <= 2; screens++) {
        const all = [...Array(cameras).keys()].map((index) => picture(`c${index}`));
        const desktops = [...Array(screens).keys()].map((index) => picture(`s${index}`, { kind: "screen" }));
        expect(taken(...all, ...desktops)).toBeLessThanOrEqual(PICTURES);
      }
    }
  });
  it("one's own, in both sizes with the voice, fits as well", () => {
    expect(PICTURE.small + PICTURE.large + VOICE_WITH_RED).toBeLessThanOrEqual(CONNECTION);
  });
  it("none are none", () => expect(chosen()).toBe(""));
});

describe("a clear word for each refusal", () => {
  const named = (name: string, message = ""): Error => Object.assign(new Error(message), { name });
  it.each([
    ["NotAllowedError", "denied"], ["NotFoundError", "missing"], ["OverconstrainedError", "missing"],
    ["NotReadableError", "in-use"], ["DeviceUnsupportedError", "insecure"], ["Unheard", "failed"],
  ])("%s is %s", (name, why) => expect(deviceProblem("microphone", named(name))).toEqual({ about: "microphone", why }));
  it("a browser without devices has no https", () => {
    expect(deviceProblem("camera", new TypeError("undefined is no function"))).toEqual({ about: "camera", why: "insecure" });
  });
  it("who closes the choice of a screen has no problem, whose system refuses it has one", () => {
    expect(deviceProblem("screen", named("NotAllowedError", "Permission denied"))).toBeNull();
    expect(deviceProblem("screen", named("NotAllowedError", "Permission denied by system"))).toEqual({ about: "screen", why: "denied" });
  });
  it("the line: what the gate says, else whether signalling came through", () => {
    expect([403, 404, 503].map((status) => lineProblem(status, false).why)).toEqual(["refused", "over", "draining"]);
    expect(lineProblem(undefined, true).why).toBe("blocked");
    expect(lineProblem(undefined, false).why).toBe("lost");
  });
  it("only who hung up, or went to another tab, does not come back", () => {
    expect([1, 2, 3, 4, 5, 9, 14, undefined].map(afterLoss)).toEqual(["over", "taken", "again", "again", "again", "again", "again", "again"]);
  });
});

describe("who is shown in a call", () => {
  const member = (user: string, state: Member["state"]): Member => ({ user, displayName: user.toUpperCase(), state });
  const seat = (user: string, over: Partial<Seat> = {}): Seat => ({
    identity: `${user}~1`, user, me: user === "ada", speaking: false, voice: true, cameraOn: false, screenOn: false, camera: null, screen: null, quality: "good", ...over,
  });
  it("those who are there, those who come, and oneself last; who left is not", () => {
    const tiles = tilesOf([member("ada", "in"), member("bob", "in"), member("cyd", "ringing"), member("dan", "in"), member("eve", "left")], [seat("ada"), seat("bob")], "ada");
    expect(tiles.map((tile) => `${tile.name} ${tile.state}`)).toEqual(["BOB here", "CYD ringing", "DAN connecting", "ADA here"]);
  });
  it("one who is there with two devices is there twice", () => {
    expect(tilesOf([member("bob", "in")], [seat("bob"), seat("bob", { identity: "bob~2" })], "ada").map((tile) => tile.key)).toEqual(["bob~1", "bob~2", "me"]);
  });
  it("a desktop is large before anybody else; one's own is not", () => {
    const tiles = (own: string | null, others: string | null) =>
      tilesOf([member("ada", "in"), member("bob", "in")], [seat("ada", { screen: own }), seat("bob", { screen: others })], "ada");
    expect(mainOf(tiles(null, "s1"), null)?.kind).toBe("screen");
    expect(mainOf(tiles("s2", null), null)).toBeNull();
    expect(mainOf(tiles(null, null), "bob~1")?.kind).toBe("camera");
    expect(mainOf(tiles(null, null), "gone~9")).toBeNull();
  });
});

it("a user may have any sign in his name, the session comes after the last one", () => {
  expect(userOf("a~b~s1")).toBe("a~b");
  expect(userOf("ada")).toBe("ada");
});

it("a meter shows silence as nothing, and what is loud as all", () => {
  expect(meterLevel(new Float32Array(8))).toBe(0);
  expect(meterLevel(new Float32Array(8).fill(1))).toBe(1);
  expect(meterLevel(new Float32Array(8).fill(0.1))).toBeCloseTo(2 / 3, 2);
  expect(meterLevel([])).toBe(0);
});
