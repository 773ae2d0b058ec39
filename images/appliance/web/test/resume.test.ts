import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { roomOptions } from "../src/media/options";
import { type Transports, restartOnlyIfBroken } from "../src/media/resume";

describe("the signalling is back", () => {
  let said: string[];
  beforeEach(() => {
    vi.useFakeTimers();
    said = [];
  });
  afterEach(() => vi.useRealTimers());

  const transports = (over: { connection?: string; signalling?: string; arriving?: number } = {}): Transports => {
    const { connection = "connected", signalling = "stable", arriving = 100 } = over;
    let bytes = 1000;
    return {
      publisher: {
        getConnectionState: () => connection,
        getSignallingState: () => signalling,
        getStats: () => Promise.resolve(new Map([["T", { type: "transport", bytesReceived: (bytes += arriving) }]])),
      },
      createAndSendPublisherOffer: async (options) => void said.push(options?.iceRestart ? "restart" : "offer"),
      updateConfiguration: () => void said.push("configured"),
      async triggerIceRestart() {
        await this.createAndSendPublisherOffer({ iceRestart: true });
      },
    };
  };
  const resumed = async (found: Transports): Promise<string[]> => {
    restartOnlyIfBroken(found);
    found.updateConfiguration({});
    const done = found.triggerIceRestart();
    await vi.runAllTimersAsync();
    await done;
    return said;
  };

  it("media that arrives goes on by its way", async () => expect(await resumed(transports())).toEqual(["offer"]));
  it("where nothing arrives a new way is looked for", async () => expect(await resumed(transports({ arriving: 0 }))).toEqual(["configured", "restart"]));
  it("and where the browser gives the way up", async () => expect(await resumed(transports({ connection: "failed" }))).toEqual(["configured", "restart"]));
  it("and where an answer is lost, for which it would wait for ever", async () =>
    expect(await resumed(transports({ signalling: "have-local-offer" }))).toEqual(["configured", "restart"]));
  it("the second time as well, by the same rule", async () => {
    const found = transports();
    await resumed(found);
    expect(await resumed(found)).toEqual(["offer", "offer"]);
  });
});

describe("the signalling is away", () => {
  /** The longest that may pass from when the gate is back until a page asks again. */
  const longestGap = (backAfterMs: number, chance: number): number => {
    vi.spyOn(Math, "random").mockReturnValue(chance);
    const policy = roomOptions({}).reconnectPolicy;
    let now = 0;
    for (let attempt = 0; now < backAfterMs; attempt++) now += policy?.nextRetryDelayInMs({ retryCount: attempt, elapsedMs: now }) ?? Infinity;
    return now - backAfterMs;
  };
  afterEach(() => vi.restoreAllMocks());

  it.each([1, 3, 5, 7, 20, 40])("a gate that is back after %i s is found within two more", (seconds) => {
    for (const chance of [0, 0.3, 0.6, 0.999]) expect(longestGap(seconds * 1000, chance)).toBeLessThanOrEqual(2000);
  });
  it("two looks are over within three quarters of a second", () => {
    vi.spyOn(Math, "random").mockReturnValue(0.999);
    const policy = roomOptions({}).reconnectPolicy;
    const waits = [0, 1].map((retryCount) => policy?.nextRetryDelayInMs({ retryCount, elapsedMs: 0 }) ?? Infinity);
    expect(waits[0]! + waits[1]!).toBeLessThanOrEqual(750);
  });
  it("and after three quarters of a minute the call is joined anew", () => expect(longestGap(50_000, 0.5)).toBe(Infinity));
});
