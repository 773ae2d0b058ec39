/**
 * The echo test: three seconds of the microphone, and then the same three seconds from the loudspeaker. Nothing is
 * stored and nothing leaves the computer: a delay line holds them.
 */
import { type ChosenDevices, microphone, stop, watchLevel } from "./devices";

export const SECONDS = 3;
const HEARD = 0.25;

export interface EchoListener {
  onPhase: (phase: "speak" | "listen") => void;
  onLevel: (level: number) => void;
}

/** True where a voice was heard. Rejects with what the browser says where there is no microphone. */
export async function echoTest(devices: ChosenDevices, listener: EchoListener, signal: AbortSignal): Promise<boolean> {
  const stream = await microphone(devices.audioinput);
  const context = new AudioContext();
  const loudspeaker = new Audio();
  let loudest = 0;
  try {
    await context.resume();
    const source = context.createMediaStreamSource(stream);
    const gate = context.createGain();
    const delay = context.createDelay(SECONDS + 1);
    const out = context.createMediaStreamDestination();
    delay.delayTime.value = SECONDS;
    source.connect(gate).connect(delay).connect(out);
    loudspeaker.srcObject = out.stream;
    if (devices.audiooutput && "setSinkId" in loudspeaker) await loudspeaker.setSinkId(devices.audiooutput).catch(() => undefined);
    await loudspeaker.play();
    const unwatch = watchLevel(context, gate, (level) => {
      loudest = Math.max(loudest, level);
      listener.onLevel(level);
    });
    listener.onPhase("speak");
    await wait(SECONDS, signal);
    gate.gain.value = 0; // or the loudspeaker would be recorded, too
    unwatch();
    const unwatchEcho = watchLevel(context, delay, listener.onLevel);
    listener.onPhase("listen");
    await wait(SECONDS, signal);
    unwatchEcho();
    return loudest > HEARD;
  } finally {
    loudspeaker.pause();
    loudspeaker.srcObject = null;
    stop(stream);
    await context.close();
  }
}

function wait(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}
