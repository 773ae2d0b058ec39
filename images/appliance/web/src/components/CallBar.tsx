import { duration } from "../i18n/format";
import { formatRoute } from "../state/route";
import { Icon } from "./Icon";
import { IconButton } from "./Button";
import { useControl, useMedia, useMediaState, useNow, useSelect, useT } from "./hooks";

/** The call that goes on while one looks at something else. */
export function CallBar() {
  const t = useT();
  const { calling } = useControl();
  const media = useMedia();
  const state = useMediaState(media);
  const me = useSelect((all) => all.me?.user);
  const call = useSelect((all) => all.calls.current?.call);
  const now = useNow();
  const names = call?.members.filter((member) => member.user !== me && (member.state === "in" || member.state === "ringing")).map((member) => member.displayName) ?? [];
  return (
    <div className="call-bar">
      <a className="call-bar-link" href={formatRoute({ at: "call" })}>
        <Icon name="phone" />
        <span>{t("call.with", { names: names.join(", ") })}</span>
        {state?.since && <span className="call-bar-time">{duration(now - state.since)}</span>}
        <span className="call-bar-return">{t("call.return")}</span>
      </a>
      <IconButton className="end" icon="hangUp" label={t("call.end")} onClick={() => void calling.hangUp()} />
    </div>
  );
}
