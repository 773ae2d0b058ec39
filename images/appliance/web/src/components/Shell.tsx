import { useEffect, useRef } from "react";
import { Banners } from "./Banners";
import { CallBar } from "./CallBar";
import { CallView } from "./CallView";
import { ConversationPage } from "./ConversationPage";
import { MissedPage } from "./MissedPage";
import { Nav } from "./Nav";
import { PeopleList } from "./PeopleList";
import { Ringing } from "./Ringing";
import { SettingsPage } from "./SettingsPage";
import { Toasts } from "./Toasts";
import { Welcome } from "./Welcome";
import { useSelect } from "./hooks";

export function Shell() {
  const route = useSelect((state) => state.route);
  const inCall = useSelect((state) => state.calls.current !== null);
  const main = useRef<HTMLElement>(null);
  const at = route.at === "call" && !inCall ? "people" : route.at;
  const user = route.at === "with" ? route.user : "";

  // A new page begins at its start, also for the keyboard; not the first one, which nobody chose.
  const before = useRef(`${at} ${user}`);
  useEffect(() => {
    if (before.current !== `${at} ${user}`) main.current?.focus({ preventScroll: true });
    before.current = `${at} ${user}`;
  }, [at, user]);

  return (
    <div className="shell" data-at={at}>
      <Nav at={at} onSkip={() => main.current?.focus()} />
      <PeopleList chosen={user} />
      <main ref={main} className="main" tabIndex={-1}>
        <Banners />
        {inCall && at !== "call" && <CallBar />}
        {at === "people" && <Welcome />}
        {at === "with" && <ConversationPage key={user} user={user} />}
        {at === "missed" && <MissedPage />}
        {at === "settings" && <SettingsPage />}
        {at === "call" && <CallView />}
      </main>
      <Ringing />
      <Toasts />
    </div>
  );
}
