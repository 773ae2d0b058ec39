import { formatRoute } from "../state/route";
import { may } from "../state/state";
import { Icon } from "./Icon";
import { useSelect, useT } from "./hooks";

export function Welcome() {
  const t = useT();
  const me = useSelect((state) => state.me);
  const chat = useSelect((state) => may(state, "Chat"));
  const talk = useSelect((state) => may(state, "Audio") || may(state, "Video"));
  if (!me) return null;
  const lead = chat ? "welcome.lead" : talk ? "welcome.leadNoChat" : "person.nothing";
  return (
    <div className="welcome">
      <Scene />
      <h1>{t("welcome.title", { name: me.displayName.split(" ")[0] ?? me.displayName })}</h1>
      <p>{t(lead)}</p>
      {talk && (
        <a className="button" href={formatRoute({ at: "settings" })}>
          <Icon name="mic" />
          {t("welcome.devices")}
        </a>
      )}
    </div>
  );
}

/** Two who talk. */
function Scene() {
  return (
    <svg className="scene" viewBox="0 0 240 150" aria-hidden="true" focusable="false">
      <circle className="scene-sun" cx="120" cy="75" r="68" />
      <path className="scene-left" d="M30 62c0-17 15-30 36-30s36 13 36 30-15 30-36 30c-4 0-8-.5-11.500-1.400L38 100l4-16.500C34.600 78.200 30 70.600 30 62z" />
      <path className="scene-right" d="M210 88c0-17-15-30-36-30s-36 13-36 30 15 30 36 30c4 0 8-.5 11.500-1.400L202 126l-4-16.500c7.400-5.300 12-12.900 12-21.500z" />
      <g className="scene-dots"><circle cx="52" cy="62" r="4.500" /><circle cx="66" cy="62" r="4.500" /><circle cx="80" cy="62" r="4.500" /></g>
      <path className="scene-wave" d="M156 88v0m9-8v16m9-24v32m9-24v16m9-8v0" />
    </svg>
  );
}
