import { useCallback, useEffect, useRef, useState } from "react";
import { type DeviceKind, camera, chooseDevice, chosenDevices, listDevices, microphone, stop } from "../media/devices";
import { type Problem, deviceProblem } from "../media/problems";
import { may } from "../state/state";
import { EchoTest } from "./EchoTest";
import { Icon, type IconName } from "./Icon";
import { Meter } from "./Meter";
import { ProblemNote } from "./ProblemNote";
import { useControl, useSelect, useT } from "./hooks";

type Devices = Record<DeviceKind, MediaDeviceInfo[]>;
const NONE: Devices = { audioinput: [], audiooutput: [], videoinput: [] };

/** Which microphone, loudspeaker and camera; with a level, a picture and an echo to see that they work. */
export function DeviceSettings() {
  const t = useT();
  const control = useControl();
  const audio = useSelect((state) => may(state, "Audio"));
  const video = useSelect((state) => may(state, "Video"));
  const [devices, refresh] = useDevices();
  const [chosen, setChosen] = useState(chosenDevices);
  const test = useTest(audio, video, chosen, refresh);

  const choose = (kind: DeviceKind, id: string): void => {
    setChosen(chooseDevice(kind, id));
    void control.calling.media?.useDevice(kind, id);
  };
  const select = (kind: DeviceKind, icon: IconName, label: string) => (
    <label className="device">
      <span><Icon name={icon} />{label}</span>
      <select value={devices[kind].some((device) => device.deviceId === chosen[kind]) ? chosen[kind] : ""} onChange={(event) => choose(kind, event.target.value)}>
        {!devices[kind].some((device) => device.deviceId === "default") && <option value="">{t("settings.standard")}</option>}
        {devices[kind].map((device) => <option key={device.deviceId} value={device.deviceId}>{device.label}</option>)}
      </select>
    </label>
  );

  return (
    <div className="devices">
      {test.problem && <ProblemNote problem={test.problem} onAgain={test.start} onClose={test.forget} />}
      {audio && select("audioinput", "mic", t("settings.microphone"))}
      {audio && test.stream && <Meter stream={test.stream} />}
      {select("audiooutput", "speaker", t("settings.speaker"))}
      {video && select("videoinput", "video", t("settings.camera"))}
      {video && test.stream && <Preview stream={test.stream} />}
      {(audio || video) && (
        <button type="button" className="button" onClick={test.stream ? test.stop : test.start}>
          {t(test.stream ? "settings.stop" : audio && video ? "settings.start" : audio ? "settings.startAudio" : "settings.startVideo")}
        </button>
      )}
      {audio && <EchoTest devices={chosen} />}
    </div>
  );
}

function Preview({ stream }: { stream: MediaStream }) {
  const t = useT();
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (element.current) element.current.srcObject = stream;
  }, [stream]);
  if (stream.getVideoTracks().length === 0) return null;
  return <video ref={element} className="preview mirrored" muted autoPlay playsInline aria-label={t("settings.preview")} />;
}

function useDevices(): [Devices, () => void] {
  const [devices, setDevices] = useState(NONE);
  const refresh = useCallback(() => void listDevices().then(setDevices), []);
  useEffect(() => {
    refresh();
    navigator.mediaDevices?.addEventListener("devicechange", refresh);
    return () => navigator.mediaDevices?.removeEventListener("devicechange", refresh);
  }, [refresh]);
  return [devices, refresh];
}

interface Test {
  stream: MediaStream | null;
  problem: Problem | null;
  start: () => void;
  stop: () => void;
  forget: () => void;
}

/** Microphone and camera, open while one tests them and not longer. Another choice opens them anew. */
function useTest(audio: boolean, video: boolean, chosen: Partial<Record<DeviceKind, string>>, onOpened: () => void): Test {
  const [on, setOn] = useState(false);
  const [stream, setStream] = useState<MediaStream | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const { audioinput, videoinput } = chosen;

  useEffect(() => {
    if (!on) return;
    let over = false;
    let opened: MediaStream | null = null;
    void open(audio, video, { audioinput, videoinput }, setProblem).then((got) => {
      opened = got;
      if (over) return stop(got);
      setStream(got);
      onOpened(); // only now has the browser names for the devices
    });
    return () => {
      over = true;
      stop(opened);
      setStream(null);
    };
  }, [on, audio, video, audioinput, videoinput, onOpened]);

  return {
    stream: on ? stream : null,
    problem,
    start: () => { setProblem(null); setOn(false); queueMicrotask(() => setOn(true)); },
    stop: () => setOn(false),
    forget: () => setProblem(null),
  };
}

/** Each by itself: without a camera the microphone can be tried all the same. */
async function open(
  audio: boolean, video: boolean, chosen: { audioinput: string | undefined; videoinput: string | undefined },
  onProblem: (problem: Problem | null) => void,
): Promise<MediaStream> {
  const stream = new MediaStream();
  const add = async (device: "microphone" | "camera", got: () => Promise<MediaStream>): Promise<void> => {
    try {
      for (const track of (await got()).getTracks()) stream.addTrack(track);
    } catch (error) {
      onProblem(deviceProblem(device, error));
    }
  };
  if (audio) await add("microphone", () => microphone(chosen.audioinput));
  if (video) await add("camera", () => camera(chosen.videoinput));
  return stream;
}
