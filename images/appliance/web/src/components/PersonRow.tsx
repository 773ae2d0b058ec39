import { useEffect, useRef } from "react";
import { formatRoute } from "../state/route";
import { presenceOf } from "../state/people";
import { Avatar, PresenceWord } from "./Avatar";
import { IconButton } from "./Button";
import { useControl, useSelect, useT } from "./hooks";

interface Props {
  user: string;
  name: string;
  chosen: boolean;
  quick: boolean;
  seen?: (element: HTMLElement, user: string) => () => void;
}

export function PersonRow({ user, name, chosen, quick, seen }: Props) {
  const t = useT();
  const control = useControl();
  const presence = useSelect((state) => presenceOf(state.people, user));
  const unread = useSelect((state) => state.chat.unread[user] ?? 0);
  const row = useRef<HTMLLIElement>(null);

  useEffect(() => (row.current && seen ? seen(row.current, user) : undefined), [seen, user]);

  return (
    <li ref={row} className="row">
      <a className="row-link" href={formatRoute({ at: "with", user })} aria-current={chosen ? "true" : undefined}>
        <Avatar user={user} name={name} presence={presence} />
        <span className="row-text">
          <span className="row-name">{name}</span>
          <PresenceWord presence={presence} />
        </span>
        {unread > 0 && (
          <span className="badge">
            <span aria-hidden="true">{unread > 99 ? "99+" : unread}</span>
            <span className="sr">{t("people.unread", { count: unread })}</span>
          </span>
        )}
      </a>
      {/* For the pointer alone: with the keyboard the same button is in the person's own page, and not in each row. */}
      {quick && presence === "online" && (
        <IconButton className="row-call" icon="phone" label={t("person.callName", { name })} tabIndex={-1}
          onClick={() => void control.calling.place(user, "audio")} />
      )}
    </li>
  );
}
