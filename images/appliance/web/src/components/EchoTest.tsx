import { useEffect, useRef, useState } from "react";
import type { ChosenDevices } from "../media/devices";
import { echoTest } from "../media/echo";
import { type Problem, deviceProblem } from "../media/problems";
import { ProblemNote } from "./ProblemNote";
import { useT } from "./hooks";

type Phase = "idle" | "speak" | "listen" | "heard" | "silent";

export function EchoTest({ devices }: { devices: ChosenDevices }) {
  const t = useT();
  const [phase, setPhase] = useState<Phase>("idle");
  const [problem, setProblem] = useState<Problem | null>(null);
  const level = useRef<HTMLMeterElement>(null);
  const running = useRef<AbortController | null>(null);
  const busy = phase === "speak" || phase === "listen";

  useEffect(() => () => running.current?.abort(), []);

  async function run(): Promise<void> {
    const abort = new AbortController();
    running.current = abort;
    setProblem(null);
    try {
      const onLevel = (value: number): void => {
        if (level.current) level.current.value = value;
      };
      const heard = await echoTest(devices, { onPhase: setPhase, onLevel }, abort.signal);
      setPhase(heard ? "heard" : "silent");
    } catch (error) {
      if (abort.signal.aborted) return;
      setPhase("idle");
      setProblem(deviceProblem("microphone", error));
    }
  }

  return (
    <section className="echo" aria-label={t("settings.echo")}>
      <h3>{t("settings.echo")}</h3>
      <p className="quiet">{t("settings.echoLead")}</p>
      {problem && <ProblemNote problem={problem} onAgain={() => void run()} onClose={() => setProblem(null)} />}
      <button type="button" className="button" disabled={busy} onClick={() => void run()}>{t("settings.echoStart")}</button>
      {busy && <meter ref={level} className="meter" min={0} max={1} value={0} aria-label={t("settings.level")} />}
      <p role="status" className="echo-state">
        {phase === "speak" && t("settings.echoSpeak")}
        {phase === "listen" && t("settings.echoListen")}
        {phase === "heard" && t("settings.echoHeard")}
        {phase === "silent" && t("settings.echoSilent")}
      </p>
    </section>
  );
}
