import { useEffect, useRef } from "react";
import type { CallMedia } from "../media/room";
import type { Tile } from "../state/tiles";
import { Avatar } from "./Avatar";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { useT } from "./hooks";

interface Props {
  tile: Tile;
  media: CallMedia;
  className: string;
  source?: "camera" | "screen";
  pinned: boolean;
  onPin: (() => void) | null;
}

/** One who is in the call: picture or letters, name, and whether he speaks. */
export function TileView({ tile, media, className, source = "camera", pinned, onPin }: Props) {
  const t = useT();
  const { seat, me } = tile;
  const name = me ? t("call.you") : tile.name;
  const picture = seat?.[source] ?? null;
  const label = source === "screen" ? t("call.screenOf", { name: tile.name }) : name;
  const quiet = seat !== null && !seat.voice;
  return (
    <figure className={`tile ${className} ${seat?.speaking && source === "camera" ? "speaking" : ""} ${tile.state}`}>
      {picture && seat ? (
        <Video key={picture} media={media} identity={seat.identity} source={source} mirrored={me && source === "camera"}
          label={source === "screen" ? label : t("call.picture", { name })} />
      ) : (
        <Avatar user={tile.user} name={tile.name} size="xl" />
      )}
      <figcaption>
        {quiet && source === "camera" && <span className="tile-mark"><Icon name="micOff" /><span className="sr">{t("call.muted")}</span></span>}
        <span className="tile-name">{label}</span>
        {tile.state === "ringing" && <span className="tile-state">{t("member.ringing")}</span>}
        {tile.state === "connecting" && <span className="tile-state">{t("call.connecting")}</span>}
        {(seat?.quality === "poor" || seat?.quality === "lost") && <span className="tile-mark weak"><Icon name="signal" /><span className="sr">{t("call.poor")}</span></span>}
      </figcaption>
      {onPin && <IconButton icon="pin" className={`pin ${pinned ? "on" : ""}`} aria-pressed={pinned} label={t(pinned ? "call.unpin" : "call.pin", { name })} onClick={onPin} />}
    </figure>
  );
}

function Video({ media, identity, source, mirrored, label }: { media: CallMedia; identity: string; source: "camera" | "screen"; mirrored: boolean; label: string }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => (element.current ? media.show(identity, source, element.current) : undefined), [media, identity, source]);
  // Muted: the voice has an element of its own, and would else be heard twice.
  return <video ref={element} className={mirrored ? "mirrored" : ""} muted autoPlay playsInline aria-label={label} />;
}
