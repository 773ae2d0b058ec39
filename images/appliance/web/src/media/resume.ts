/**
 * What becomes of the media when the signalling was away and is back.
 *
 * LiveKit's client then restarts ICE, and the media server drops all packets of both directions from that moment until
 * a new pair of addresses is found. Where only the signalling was away, that costs a call sound and picture for nothing.
 */
import { type ReconnectPolicy, type Room, RoomEvent } from "livekit-client";
import { backoff } from "../api/backoff";

/** What this needs of LiveKit's `PCTransportManager`. */
export interface Transports {
  publisher: { getConnectionState(): string; getSignallingState(): string; getStats(): Promise<Iterable<[string, unknown]>> | undefined };
  createAndSendPublisherOffer(options?: RTCOfferOptions): Promise<void>;
  updateConfiguration(config: RTCConfiguration): void;
  triggerIceRestart(): Promise<void>;
}

/** How long one line is tried to be taken up; after that the call is joined anew. */
const RESUME_MS = 45_000;
const LONGEST_WAIT_MS = 2_000;

/**
 * LiveKit waits for up to seven seconds, half of it more or less: who has just missed a gate that starts anew would be
 * without signalling for ten seconds more, and nobody could get in or be heard of meanwhile.
 *
 * The first looks come soon: a media server that was started anew tells the first who takes up his line to join anew, and
 * he does so with the second. Who looks too early is kept by the gate until it is there.
 */
export const resuming: ReconnectPolicy = {
  nextRetryDelayInMs: ({ retryCount, elapsedMs }) => (elapsedMs < RESUME_MS ? backoff(retryCount - 1, LONGEST_WAIT_MS) : null),
};

const WATCHED_MS = 500;
const LOOK_MS = 50;
const seen = new WeakSet<Transports>();

/** From now on ICE is restarted only where no media arrives any more. */
export function keepFlowingMedia(room: Room): void {
  room.on(RoomEvent.SignalReconnecting, () => {
    if (room.engine.pcManager) restartOnlyIfBroken(room.engine.pcManager);
  });
}

/** LiveKit has no option for it, so two of its methods are replaced: once, as it resumes with the same object each time. */
export function restartOnlyIfBroken(transports: Transports): void {
  if (seen.has(transports)) return;
  seen.add(transports);
  const restart = transports.triggerIceRestart.bind(transports);
  const configure = transports.updateConfiguration.bind(transports);
  let fresh: RTCConfiguration | null = null;
  // Each resumption brings other credentials of the relay, and a browser that has them restarts ICE with its next offer.
  transports.updateConfiguration = (config) => {
    if (transports.publisher.getConnectionState() === "connected") fresh = config;
    else configure(config);
  };
  transports.triggerIceRestart = async () => {
    const config = fresh;
    fresh = null;
    // Said anew without a restart: what was under way when the signalling broke is settled by it.
    if (await flows(transports)) return transports.createAndSendPublisherOffer();
    if (config) configure(config);
    await restart();
  };
}

/** Whether the browser holds the way for good, nothing waits for an answer that is lost, and bytes arrive. */
async function flows({ publisher }: Transports): Promise<boolean> {
  const isWhole = (): boolean => publisher.getConnectionState() === "connected" && publisher.getSignallingState() === "stable";
  const before = await bytesReceived(publisher);
  for (let waited = 0; waited < WATCHED_MS && isWhole(); waited += LOOK_MS) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if ((await bytesReceived(publisher)) > before) return isWhole();
  }
  return false;
}

async function bytesReceived(publisher: Transports["publisher"]): Promise<number> {
  let sum = 0;
  for (const [, stat] of (await publisher.getStats()) ?? []) {
    const { type, bytesReceived: bytes } = stat as { type: string; bytesReceived?: number };
    if (type === "transport") sum += bytes ?? 0;
  }
  return sum;
}
