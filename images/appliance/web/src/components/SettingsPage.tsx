import { useState } from "react";
import { may } from "../state/state";
import { DeviceSettings } from "./DeviceSettings";
import { Icon } from "./Icon";
import { LanguageChoice } from "./LanguageChoice";
import { useControl, useSelect, useT } from "./hooks";

export function SettingsPage() {
  const t = useT();
  const control = useControl();
  const me = useSelect((state) => state.me);
  const calls = useSelect((state) => may(state, "Audio") || may(state, "Video"));
  return (
    <div className="page settings">
      <h1>{t("settings.title")}</h1>
      {calls && (
        <section className="card" aria-labelledby="settings-sound">
          <h2 id="settings-sound">{t("settings.sound")}</h2>
          <DeviceSettings />
        </section>
      )}
      <section className="card" aria-labelledby="settings-notify">
        <h2 id="settings-notify">{t("settings.notify")}</h2>
        <Notifications />
      </section>
      <section className="card" aria-labelledby="settings-language">
        <h2 id="settings-language">{t("settings.language")}</h2>
        <LanguageChoice />
      </section>
      <section className="card" aria-labelledby="settings-account">
        <h2 id="settings-account">{t("settings.account")}</h2>
        {me && <p className="quiet">{t("settings.signedInAs", { name: me.displayName, user: me.user })}</p>}
        <p className="buttons">
          <button type="button" className="button" onClick={() => void control.logout()}><Icon name="exit" />{t("settings.signOut")}</button>
          <button type="button" className="button danger" title={t("settings.signOutAllLead")} onClick={() => void control.logout(true)}>{t("settings.signOutAll")}</button>
        </p>
      </section>
    </div>
  );
}

function Notifications() {
  const t = useT();
  const [permission, setPermission] = useState(() => ("Notification" in window ? Notification.permission : "denied"));
  if (permission === "granted") return <p className="quiet">{t("settings.notifyOn")}</p>;
  if (permission === "denied") return <p className="quiet">{t("settings.notifyOff")}</p>;
  return (
    <>
      <p className="quiet">{t("settings.notifyLead")}</p>
      <button type="button" className="button" onClick={() => void Notification.requestPermission().then(setPermission)}>
        <Icon name="bell" />{t("settings.notifyAllow")}
      </button>
    </>
  );
}
