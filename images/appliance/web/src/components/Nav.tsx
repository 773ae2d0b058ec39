import { unseenOf } from "../state/calls";
import { unreadOf } from "../state/chat";
import { type Route, formatRoute } from "../state/route";
import { Avatar } from "./Avatar";
import { Icon, type IconName } from "./Icon";
import { Mark } from "./Mark";
import { useSelect, useT } from "./hooks";

export function Nav({ at, onSkip }: { at: Route["at"]; onSkip: () => void }) {
  const t = useT();
  const me = useSelect((state) => state.me);
  const unread = useSelect((state) => unreadOf(state.chat));
  const missed = useSelect((state) => unseenOf(state.calls));
  return (
    <nav className="nav" aria-label={t("nav.label")}>
      <button type="button" className="skip" onClick={onSkip}>{t("app.skip")}</button>
      <Mark />
      <Item to={{ at: "people" }} here={at === "people" || at === "with"} icon="people" label={t("nav.people")}
        count={unread} said={t("people.unread", { count: unread })} />
      <Item to={{ at: "missed" }} here={at === "missed"} icon="phoneMissed" label={t("nav.missed")}
        count={missed} said={t("nav.missedCount", { count: missed })} />
      <Item to={{ at: "settings" }} here={at === "settings"} icon="settings" label={t("nav.settings")} count={0} said="" />
      {me && <span className="nav-me" title={me.displayName}><Avatar user={me.user} name={me.displayName} size="s" /></span>}
    </nav>
  );
}

interface ItemProps {
  to: Route;
  here: boolean;
  icon: IconName;
  label: string;
  count: number;
  said: string;
}

function Item({ to, here, icon, label, count, said }: ItemProps) {
  return (
    <a className="nav-item" href={formatRoute(to)} aria-current={here ? "page" : undefined}>
      <span className="nav-icon"><Icon name={icon} /></span>
      <span>{label}</span>
      {count > 0 && (
        <span className="badge nav-badge">
          <span aria-hidden="true">{count > 99 ? "99+" : count}</span>
          <span className="sr">{said}</span>
        </span>
      )}
    </a>
  );
}
