/** Microphones, cameras and loudspeakers: which there are, which was chosen, how loud it is. */

export type DeviceKind = "audioinput" | "audiooutput" | "videoinput";
export type ChosenDevices = Partial<Record<DeviceKind, string>>;
export const DEVICE_KINDS: readonly DeviceKind[] = ["audioinput", "audiooutput", "videoinput"];

const KEY = "mcs.devices";

export function chosenDevices(): ChosenDevices {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (typeof stored !== "object" || stored === null) return {};
    const entries = Object.entries(stored).filter(([kind, id]) => DEVICE_KINDS.some((k) => k === kind) && typeof id === "string");
    return Object.fromEntries(entries) as ChosenDevices;
  } catch {
    return {}; // storage is off, or was written by somebody else
  }
}

export function chooseDevice(kind: DeviceKind, id: string): ChosenDevices {
  const devices = { ...chosenDevices(), [kind]: id };
  try {
    localStorage.setItem(KEY, JSON.stringify(devices));
  } catch {
    // Then it is chosen until the page is closed.
  }
  return devices;
}

/** Without permission a browser lists devices without names; they are left out, for nobody could choose one. */
export async function listDevices(): Promise<Record<DeviceKind, MediaDeviceInfo[]>> {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const of = (kind: DeviceKind): MediaDeviceInfo[] => all.filter((device) => device.kind === kind && device.deviceId && device.label);
  return { audioinput: of("audioinput"), audiooutput: of("audiooutput"), videoinput: of("videoinput") };
}

export function microphone(id: string | undefined): Promise<MediaStream> {
  return opened(id, (deviceId) => ({ audio: { echoCancellation: true, noiseSuppression: true, ...deviceId } }));
}

export function camera(id: string | undefined): Promise<MediaStream> {
  return opened(id, (deviceId) => ({ video: { width: 640, height: 360, ...deviceId } }));
}

/**
 * Chromium gives its default device where the id of another one is only a wish. One that was unplugged must not keep the
 * default one from being used.
 */
async function opened(id: string | undefined, wanted: (device: MediaTrackConstraints) => MediaStreamConstraints): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia(wanted(id ? { deviceId: { exact: id } } : {}));
  } catch (error) {
    if (!id || (error as Error).name !== "OverconstrainedError") throw error;
    return navigator.mediaDevices.getUserMedia(wanted({}));
  }
}

export function stop(stream: MediaStream | null): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/** From samples (-1 to 1) to what a meter shows (0 to 1): loudness is heard in decibels, of which 60 are shown. Pure. */
export function meterLevel(samples: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += (samples[i] ?? 0) ** 2;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  if (rms === 0) return 0;
  return Math.min(1, Math.max(0, 1 + (20 * Math.log10(rms)) / 60));
}

/** Calls `onLevel` with each drawn frame until the answer is called. */
export function watchLevel(context: AudioContext, source: AudioNode, onLevel: (level: number) => void): () => void {
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let frame = requestAnimationFrame(function look() {
    analyser.getFloatTimeDomainData(samples);
    onLevel(meterLevel(samples));
    frame = requestAnimationFrame(look);
  });
  return () => {
    cancelAnimationFrame(frame);
    source.disconnect(analyser);
  };
}
