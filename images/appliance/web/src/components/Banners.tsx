import { useState, useSyncExternalStore } from "react";
import type { ReactNode } from "react";
import { soon } from "../i18n/format";
import { may } from "../state/state";
import { IconButton } from "./Button";
import { Icon, type IconName } from "./Icon";
import { ProblemNote } from "./ProblemNote";
import { useControl, useLanguage, useSelect, useT } from "./hooks";

const KEY = "mcs.notify";

/** What concerns the whole page, above of it. */
export function Banners() {
  const t = useT();
  const language = useLanguage();
  const control = useControl();
  const online = useSelect((state) => state.online);
  const draining = useSelect((state) => state.me?.draining ?? false);
  const until = useSelect((state) => state.me?.drainingUntil ?? null);
  const elsewhere = useSelect((state) => state.calls.elsewhere);
  const problem = useSyncExternalStore(control.calling.subscribe, () => control.calling.problem);
  const silent = useSyncExternalStore(control.tones.subscribe, control.tones.silent);
  const atHome = useSelect((state) => state.route.at === "people" && !state.calls.current);
  const rings = useSelect((state) => may(state, "Audio") || may(state, "Video"));
  return (
    <div className="banners" role="status">
      {!online && <Banner icon="signal" kind="warn">{t("banner.offline")}</Banner>}
      {draining && (
        <Banner icon="clock" kind="warn">
          {until ? t("banner.drainingUntil", { time: soon(until, Date.now(), language) }) : t("banner.draining")}
        </Banner>
      )}
      {problem && <ProblemNote problem={problem} onClose={() => control.calling.closeProblem()} />}
      {elsewhere && (
        <Banner icon="phone" kind="good">
          {t("call.elsewhere")}{" "}
          <button type="button" className="button small" onClick={() => void control.calling.takeUp(elsewhere)}>{t("call.takeUp")}</button>
        </Banner>
      )}
      {silent && rings && <Banner icon="speaker" kind="plain">{t("banner.muted")}</Banner>}
      {atHome && <NotifyBanner />}
    </div>
  );
}

function Banner({ icon, kind, children }: { icon: IconName; kind: "warn" | "good" | "plain"; children: ReactNode }) {
  return (
    <div className={`banner banner-${kind}`}>
      <Icon name={icon} />
      <p>{children}</p>
    </div>
  );
}

/** Asked once: browsers ask the user only after a click of his, and then for good. */
function NotifyBanner() {
  const t = useT();
  const calls = useSelect((state) => state.me?.functions.some((name) => name === "Audio" || name === "Video" || name === "Chat") ?? false);
  const [open, setOpen] = useState(() => "Notification" in window && Notification.permission === "default" && !dismissed());
  if (!open || !calls) return null;
  const close = (): void => {
    dismiss();
    setOpen(false);
  };
  return (
    <div className="banner banner-plain">
      <Icon name="bell" />
      <p>{t("notify.banner")}</p>
      <button type="button" className="button small" onClick={() => void Notification.requestPermission().then(close, close)}>
        {t("settings.notifyAllow")}
      </button>
      <IconButton icon="close" label={t("notify.later")} onClick={close} />
    </div>
  );
}

function dismissed(): boolean {
  try {
    return localStorage.getItem(KEY) === "later";
  } catch {
    return true;
  }
}

function dismiss(): void {
  try {
    localStorage.setItem(KEY, "later");
  } catch {
    // Then it is asked again next time.
  }
}
