/** Tells the media server which pictures this page wants, and in which size. */
import { RemoteTrackPublication, type Room, Track, VideoQuality } from "livekit-client";
import { MOST_PICTURES, PICTURE, PICTURES } from "./budget";
import { type Picture, choosePictures } from "./pictures";

/** `spoke`: when each participant spoke last. In a tab that nobody sees, no picture is received. */
export function receivePictures(room: Room, spoke: ReadonlyMap<string, number>, pinned: string | null): void {
  const found = new Map<string, RemoteTrackPublication>();
  const pictures: Picture[] = [];
  for (const participant of room.remoteParticipants.values()) {
    for (const publication of participant.trackPublications.values()) {
      if (publication.kind !== Track.Kind.Video || !(publication instanceof RemoteTrackPublication)) continue;
      found.set(publication.trackSid, publication);
      if (publication.isMuted) continue;
      pictures.push({
        id: publication.trackSid,
        kind: publication.source === Track.Source.ScreenShare ? "screen" : "camera",
        spokeAt: spoke.get(participant.identity) ?? 0,
        pinned: participant.identity === pinned,
      });
    }
  }
  const sizes = choosePictures(document.hidden ? [] : pictures, PICTURES, MOST_PICTURES, PICTURE);
  for (const [sid, publication] of found) {
    const size = sizes.get(sid) ?? "off";
    if (size !== "off") publication.setVideoQuality(size === "large" ? VideoQuality.HIGH : VideoQuality.LOW);
    publication.setEnabled(size !== "off");
  }
}
