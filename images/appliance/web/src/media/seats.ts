/** Those who are in the room, as LiveKit knows them, in the words of these pages. */
import {
  ConnectionQuality, type LocalParticipant, type LocalTrack, type Participant, RemoteTrackPublication, type Room, Track,
  type TrackPublication,
} from "livekit-client";
import { userOf } from "./identity";

export type Own = "microphone" | "camera";
export type Quality = "good" | "poor" | "lost" | "unknown";

export interface Seat {
  identity: string;
  user: string;
  me: boolean;
  speaking: boolean;
  voice: boolean;
  /** Sent at all, though perhaps not received here. */
  cameraOn: boolean;
  screenOn: boolean;
  /** Names the picture that can be shown; another name is another picture. */
  camera: string | null;
  screen: string | null;
  quality: Quality;
}

export function seatOf(participant: Participant): Seat {
  const camera = participant.getTrackPublication(Track.Source.Camera);
  const screen = participant.getTrackPublication(Track.Source.ScreenShare);
  return {
    identity: participant.identity,
    user: userOf(participant.identity),
    me: participant.isLocal,
    speaking: participant.isSpeaking,
    voice: participant.isMicrophoneEnabled,
    cameraOn: !!camera && !camera.isMuted,
    screenOn: !!screen && !screen.isMuted,
    camera: shown(camera),
    screen: shown(screen),
    quality: qualityOf(participant.connectionQuality),
  };
}

/** Oneself is there before one is connected: `held` is open and not published yet. */
export function ownSeat(local: LocalParticipant, held: Map<Own, LocalTrack>): Seat {
  const seat = seatOf(local);
  const camera = isOn(held, "camera") ? held.get("camera") : undefined;
  return {
    ...seat,
    voice: seat.voice || isOn(held, "microphone"),
    camera: seat.camera ?? camera?.mediaStreamTrack.id ?? null,
  };
}

export function isOn(held: Map<Own, LocalTrack>, device: Own): boolean {
  const track = held.get(device);
  return !!track && !track.isMuted;
}

export function publicationOf(room: Room, identity: string, source: "camera" | "screen"): TrackPublication | undefined {
  const local = room.localParticipant;
  const participant = identity === local.identity ? local : room.remoteParticipants.get(identity);
  return participant?.getTrackPublication(source === "camera" ? Track.Source.Camera : Track.Source.ScreenShare);
}

function shown(publication: TrackPublication | undefined): string | null {
  const off = publication instanceof RemoteTrackPublication && !publication.isEnabled;
  if (!publication?.videoTrack || publication.isMuted || off) return null;
  return `${publication.trackSid} ${publication.videoTrack.mediaStreamTrack.id}`;
}

function qualityOf(quality: ConnectionQuality): Quality {
  switch (quality) {
    case ConnectionQuality.Excellent:
    case ConnectionQuality.Good:
      return "good";
    case ConnectionQuality.Poor:
      return "poor";
    case ConnectionQuality.Lost:
      return "lost";
    default:
      return "unknown";
  }
}
