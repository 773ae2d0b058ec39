import type { Presence } from "../api/types";
import { initials, tint } from "../i18n/format";
import { useT } from "./hooks";

/** A person's letters and colour. Beside it there always is the name, so a screen reader skips it. */
export function Avatar({ user, name, presence, size = "m" }: { user: string; name: string; presence?: Presence; size?: "s" | "m" | "l" | "xl" }) {
  return (
    <span className={`avatar avatar-${size} tint-${tint(user)}`} aria-hidden="true">
      {initials(name)}
      {presence && <span className={`dot dot-${presence}`} />}
    </span>
  );
}

export function PresenceWord({ presence }: { presence: Presence }) {
  const t = useT();
  return <span className={`presence presence-${presence}`}>{t(`presence.${presence}`)}</span>;
}
