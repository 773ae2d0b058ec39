import type { Ring } from "../api/types";
import { may } from "../state/state";
import { Avatar } from "./Avatar";
import { RoundButton } from "./Button";
import { Dialog } from "./Dialog";
import { useControl, useSelect, useT } from "./hooks";

/** Somebody calls. One at a time: the next one is shown when this one is over. */
export function Ringing() {
  const ring = useSelect((state) => state.calls.ringing[0] ?? null);
  return ring && <RingDialog key={ring.id} ring={ring} />;
}

function RingDialog({ ring }: { ring: Ring }) {
  const t = useT();
  const { calling } = useControl();
  const inCall = useSelect((state) => state.calls.current !== null);
  const joining = useSelect((state) => state.calls.joining);
  const video = useSelect((state) => may(state, "Video")) && ring.media === "video";
  const name = ring.from.displayName;
  return (
    <Dialog label={t("ring.title", { name })} className="ring" role="alertdialog">
      <span className="ring-waves"><Avatar user={ring.from.user} name={name} size="xl" /></span>
      {/* Not a button: whoever is just writing and presses Enter must not open his microphone to a caller. */}
      <h2 tabIndex={-1} data-first="">{name}</h2>
      <p>{t(ring.media === "video" ? "ring.video" : "ring.audio")}</p>
      {inCall && <p className="ring-note">{t("ring.inCall")}</p>}
      <div className="ring-buttons">
        <RoundButton className="end" icon="hangUp" label={t("ring.refuse")} onClick={() => void calling.refuse(ring)} />
        {video && <RoundButton icon="phone" label={t("ring.acceptAudio")} disabled={joining} onClick={() => void calling.accept(ring, false)} />}
        <RoundButton className="accept" icon={video ? "video" : "phone"} label={t(video ? "ring.acceptVideo" : "ring.accept")} disabled={joining}
          onClick={() => void calling.accept(ring, video)} />
      </div>
    </Dialog>
  );
}
