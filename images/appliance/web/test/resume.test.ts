import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
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
