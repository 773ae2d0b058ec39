import { useEffect, useState } from "react";
import { clock, day } from "../i18n/format";
import { nameOf } from "../state/people";
import { formatRoute } from "../state/route";
import { mayCall } from "../state/state";
import { Avatar } from "./Avatar";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { useControl, useLanguage, useSelect, useT } from "./hooks";

export function MissedPage() {
  const t = useT();
  const language = useLanguage();
  const control = useControl();
  const missed = useSelect((state) => state.calls.missed);
  const people = useSelect((state) => state.people);
  const back = useSelect((state) => mayCall(state, "audio") && !state.calls.current && !state.me?.draining);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    control.readMissed().then(() => setFailed(false), () => setFailed(true));
  }, [control]);
  useEffect(() => control.seeMissed(), [control, missed]);

  return (
    <div className="page">
      <h1>{t("missed.title")}</h1>
      {failed && <p role="alert">{t("missed.failed")}</p>}
      {!failed && missed.length === 0 && <p className="quiet">{t("missed.none")}</p>}
      <ul className="cards">
        {missed.map((call) => {
          const name = nameOf(people, call.from.user);
          return (
            <li key={`${call.id} ${call.at}`} className="card missed">
              <a className="row-link" href={formatRoute({ at: "with", user: call.from.user })} aria-label={t("missed.from", { name })}>
                <Avatar user={call.from.user} name={name} />
                <span className="row-text">
                  <span className="row-name">{name}</span>
                  <span className="quiet">
                    <Icon name={call.media === "video" ? "video" : "phone"} />
                    {t(`missed.${call.media}`)} · {day(call.at, Date.now(), language)}, <time dateTime={new Date(call.at).toISOString()}>{clock(call.at, language)}</time>
                  </span>
                </span>
              </a>
              {back && (
                <IconButton icon="phone" className="tinted" label={t("person.callName", { name })} onClick={() => void control.calling.place(call.from.user, "audio")} />
              )}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
