import { useEffect } from "react";
import { nameOf, presenceOf } from "../state/people";
import { formatRoute } from "../state/route";
import { may, mayCall } from "../state/state";
import { Avatar, PresenceWord } from "./Avatar";
import { Chat } from "./Chat";
import { Icon } from "./Icon";
import { useControl, useSelect, useT } from "./hooks";

/** One colleague: who he is, how to call him, what was written. */
export function ConversationPage({ user }: { user: string }) {
  const t = useT();
  const control = useControl();
  const name = useSelect((state) => nameOf(state.people, user));
  const presence = useSelect((state) => presenceOf(state.people, user));
  const chat = useSelect((state) => may(state, "Chat") || may(state, "FileSharing"));
  const audio = useSelect((state) => mayCall(state, "audio"));
  const video = useSelect((state) => mayCall(state, "video"));
  const blocked = useSelect((state) => state.calls.current !== null || state.calls.joining || (state.me?.draining ?? false));

  useEffect(() => {
    control.directory.show("main", [user]);
    return () => control.directory.show("main", []);
  }, [control, user]);

  return (
    <div className="conversation">
      <header className="conversation-head">
        <a className="icon-button back" href={formatRoute({ at: "people" })} aria-label={t("nav.back")}><Icon name="back" /></a>
        <Avatar user={user} name={name} presence={presence} />
        <div className="conversation-who">
          <h1>{name}</h1>
          <PresenceWord presence={presence} />
        </div>
        {audio && (
          <button type="button" className="button primary" disabled={blocked} aria-label={t("person.callName", { name })} onClick={() => void control.calling.place(user, "audio")}>
            <Icon name="phone" />
            <span className="wide-only">{t("person.call")}</span>
          </button>
        )}
        {video && (
          <button type="button" className="button" disabled={blocked} aria-label={t("person.videoName", { name })} onClick={() => void control.calling.place(user, "video")}>
            <Icon name="video" />
            <span className="wide-only">{t("person.video")}</span>
          </button>
        )}
      </header>
      {chat ? <Chat place={{ kind: "user", user }} name={name} /> : (
        <div className="welcome">
          <Avatar user={user} name={name} size="xl" />
          <p>{t(audio || video ? "person.noChat" : "person.nothing", { name })}</p>
        </div>
      )}
    </div>
  );
}
