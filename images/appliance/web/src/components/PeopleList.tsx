import { useCallback, useEffect, useRef, useState } from "react";
import { nameOf } from "../state/people";
import { may, mayCall } from "../state/state";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { PersonRow } from "./PersonRow";
import { useControl, useSelect, useT } from "./hooks";

const TYPED_MS = 200;
const MOST_RECENT = 8;

export function PeopleList({ chosen }: { chosen: string }) {
  const t = useT();
  const control = useControl();
  const people = useSelect((state) => state.people);
  const recent = useSelect((state) => state.chat.recent);
  const me = useSelect((state) => state.me);
  const quick = useSelect((state) => mayCall(state, "audio") && !state.calls.current && !state.me?.draining);
  const chat = useSelect((state) => may(state, "Chat"));
  const [q, setQ] = useState("");
  const seen = useSeen("list");

  useEffect(() => {
    const timer = setTimeout(() => void control.directory.search(q.trim()), q ? TYPED_MS : 0);
    return () => clearTimeout(timer);
  }, [control, q]);

  const shownRecent = chat && !people.q ? recent.filter((user) => user !== me?.user).slice(0, MOST_RECENT) : [];
  const names = shownRecent.join("\n");
  useEffect(() => control.directory.show("recent", names ? names.split("\n") : []), [control, names]);

  return (
    <section className="list" aria-labelledby="community">
      <header className="list-head">
        <h1 id="community" className="community">{me?.community.displayName}</h1>
        <search className="search">
          <Icon name="search" />
          <input type="search" value={q} onChange={(event) => setQ(event.target.value)} placeholder={t("people.search")}
            aria-label={t("people.search")} autoComplete="off" spellCheck={false} maxLength={100} />
          {q && <IconButton icon="close" label={t("people.clear")} onClick={() => setQ("")} />}
        </search>
      </header>
      <div className="list-body" aria-busy={people.loading}>
        {shownRecent.length > 0 && (
          <>
            <h2 className="list-title">{t("people.recent")}</h2>
            <ul className="rows">
              {shownRecent.map((user) => (
                <PersonRow key={user} user={user} name={nameOf(people, user)} chosen={user === chosen} quick={quick} />
              ))}
            </ul>
          </>
        )}
        <h2 className="list-title">{t(people.q ? "people.found" : "people.all")}</h2>
        <ul className="rows">
          {people.users.filter((user) => user.user !== me?.user).map((user) => (
            <PersonRow key={user.user} user={user.user} name={user.displayName} chosen={user.user === chosen && !shownRecent.includes(chosen)} quick={quick} seen={seen} />
          ))}
        </ul>
        <Ending />
      </div>
    </section>
  );
}

/** What comes after the last row: more of them, nobody, or why not. */
function Ending() {
  const t = useT();
  const control = useControl();
  const { q, users, next, loading, failed } = useSelect((state) => state.people);
  const end = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!end.current) return;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void control.directory.more();
    });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [control, next, loading]);

  return (
    <div className="list-end" role="status">
      {loading && users.length === 0 && <p>{t("people.loading")}</p>}
      {!loading && !failed && users.length === 0 && <p>{q ? t("people.none", { q }) : t("people.empty")}</p>}
      {failed && (
        <p>
          {t("people.failed")}{" "}
          <button type="button" className="link" onClick={() => void control.directory.search(q)}>{t("people.again")}</button>
        </p>
      )}
      {next && !failed && (
        <button ref={end} type="button" className="link" disabled={loading} onClick={() => void control.directory.more()}>
          {t("people.more")}
        </button>
      )}
    </div>
  );
}

/** Tells the control which rows are on screen: the portal tells the presence of those alone. */
function useSeen(part: "list" | "call"): (element: HTMLElement, user: string) => () => void {
  const control = useControl();
  const users = useRef(new Set<string>());
  const elements = useRef(new Map<Element, string>());
  const observer = useRef<IntersectionObserver | null>(null);

  useEffect(() => () => observer.current?.disconnect(), []);

  return useCallback(
    (element, user) => {
      observer.current ??= new IntersectionObserver((entries) => {
        for (const entry of entries) {
          const of = elements.current.get(entry.target);
          if (of === undefined) continue;
          if (entry.isIntersecting) users.current.add(of);
          else users.current.delete(of);
        }
        control.directory.show(part, [...users.current]);
      });
      elements.current.set(element, user);
      observer.current.observe(element);
      return () => {
        observer.current?.unobserve(element);
        elements.current.delete(element);
        users.current.delete(user);
        control.directory.show(part, [...users.current]);
      };
    },
    [control, part],
  );
}
