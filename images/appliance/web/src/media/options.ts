/** The budget of a connection, as LiveKit takes it. */
import { AudioPresets, type RoomOptions, type TrackPublishOptions, VideoPreset } from "livekit-client";
import { PICTURE, SCREEN_SOUND, VOICE } from "./budget";
import type { ChosenDevices } from "./devices";
import { resuming } from "./resume";

const AUDIO = { ...AudioPresets.speech, maxBitrate: VOICE, priority: "high" as const };
const SMALL = new VideoPreset(320, 180, PICTURE.small, 15, "low");
const LARGE = new VideoPreset(640, 360, PICTURE.large, 20, "low");
export const SCREEN = new VideoPreset(1280, 720, PICTURE.screen, 5, "low");

export function roomOptions(devices: ChosenDevices): RoomOptions {
  return {
    // Which picture is sent in which size is decided by `pictures.ts`, by the budget and not by the tiles' size.
    adaptiveStream: false,
    dynacast: true,
    disconnectOnPageLeave: true,
    reconnectPolicy: resuming,
    audioCaptureDefaults: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      ...(devices.audioinput && { deviceId: devices.audioinput }),
    },
    videoCaptureDefaults: {
      resolution: LARGE.resolution,
      ...(devices.videoinput && { deviceId: devices.videoinput }),
    },
    ...(devices.audiooutput && { audioOutput: { deviceId: devices.audiooutput } }),
    publishDefaults: {
      audioPreset: AUDIO,
      dtx: true,
      red: true,
      videoCodec: "vp8", // what every browser and every phone can do: nobody has to send twice
      backupCodec: false,
      simulcast: true,
      videoEncoding: LARGE.encoding,
      videoSimulcastLayers: [SMALL],
    },
  };
}

/** Text has to be sharp; that it moves slowly is all right. */
export const SCREEN_PUBLISHING: TrackPublishOptions = {
  simulcast: false,
  videoCodec: "vp8",
  backupCodec: false,
  screenShareEncoding: SCREEN.encoding,
  degradationPreference: "maintain-resolution",
  audioPreset: { ...AudioPresets.music, maxBitrate: SCREEN_SOUND },
  dtx: false,
};
