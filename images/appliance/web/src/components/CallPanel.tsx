import { useEffect } from "react";
import type { Call } from "../api/types";
import { presenceOf } from "../state/people";
import { mayCall } from "../state/state";
import { Avatar } from "./Avatar";
import { IconButton } from "./Button";
import type { Panel } from "./CallControls";
import { Chat } from "./Chat";
import { DeviceSettings } from "./DeviceSettings";
import { useControl, useSelect, useT } from "./hooks";

/** Beside the pictures: the call's chat, who is in it, or the devices. */
export function CallPanel({ panel, call, onClose }: { panel: Exclude<Panel, null>; call: Call; onClose: () => void }) {
  const t = useT();
  return (
    <section className="panel" aria-label={t(`call.${panel}`)}>
      <header className="panel-head">
        <h2>{t(`call.${panel}`)}</h2>
        <IconButton icon="close" label={t("call.close")} onClick={onClose} />
      </header>
      {panel === "chat" && <Chat place={{ kind: "call", call: call.id }} name="" />}
      {panel === "people" && <Members call={call} />}
      {panel === "devices" && <DeviceSettings />}
    </section>
  );
}

function Members({ call }: { call: Call }) {
  const t = useT();
  const room = useSelect((state) => state.me?.limits.room ?? 8);
  const invite = useSelect((state) => mayCall(state, call.media));
  const live = call.members.filter((member) => member.state === "in" || member.state === "ringing");
  return (
    <div className="members">
      <ul className="rows">
        {call.members.map((member) => (
          <li key={member.user} className="row">
            <span className="row-link">
              <Avatar user={member.user} name={member.displayName} size="s" />
              <span className="row-text"><span className="row-name">{member.displayName}</span><span className="presence">{t(`member.${member.state}`)}</span></span>
            </span>
          </li>
        ))}
      </ul>
      {invite && (live.length < room ? <Invite call={call} /> : <p className="quiet">{t("invite.full", { count: room })}</p>)}
    </div>
  );
}

/** Searches with the list of people: there is one search at a time, and its answer is the same. */
function Invite({ call }: { call: Call }) {
  const t = useT();
  const control = useControl();
  const people = useSelect((state) => state.people);
  useEffect(() => () => void control.directory.search(""), [control]); // the list beside it is the same search
  const out = people.users.filter((user) => !call.members.some((member) => member.user === user.user && (member.state === "in" || member.state === "ringing")));
  return (
    <>
      <h3>{t("invite.title")}</h3>
      <input className="search-input" type="search" placeholder={t("people.search")} aria-label={t("people.search")} maxLength={100}
        onChange={(event) => void control.directory.search(event.target.value.trim())} />
      <ul className="rows">
        {out.slice(0, 20).map((user) => (
          <li key={user.user} className="row">
            <span className="row-link">
              <Avatar user={user.user} name={user.displayName} presence={presenceOf(people, user.user)} size="s" />
              <span className="row-text"><span className="row-name">{user.displayName}</span></span>
            </span>
            <IconButton icon="peopleAdd" className="tinted" label={t("invite.add", { name: user.displayName })} onClick={() => void control.calling.invite(user.user)} />
          </li>
        ))}
      </ul>
    </>
  );
}
