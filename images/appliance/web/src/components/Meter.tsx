import { useEffect, useRef } from "react";
import { watchLevel } from "../media/devices";
import { useT } from "./hooks";

/** How loud a microphone is, drawn with each frame past React. */
export function Meter({ stream }: { stream: MediaStream }) {
  const t = useT();
  const meter = useRef<HTMLMeterElement>(null);
  useEffect(() => {
    if (stream.getAudioTracks().length === 0) return;
    const context = new AudioContext();
    void context.resume();
    const unwatch = watchLevel(context, context.createMediaStreamSource(stream), (level) => {
      if (meter.current) meter.current.value = level;
    });
    return () => {
      unwatch();
      void context.close();
    };
  }, [stream]);
  return <meter ref={meter} className="meter" min={0} max={1} value={0} aria-label={t("settings.level")} />;
}
