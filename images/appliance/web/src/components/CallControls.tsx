import type { CallMedia, MediaState } from "../media/room";
import { may } from "../state/state";
import { placeKey } from "../api/types";
import { RoundButton } from "./Button";
import { useControl, useSelect, useT } from "./hooks";

export type Panel = "chat" | "people" | "devices" | null;

interface Props {
  media: CallMedia;
  state: MediaState;
  callId: string;
  panel: Panel;
  onPanel: (panel: Panel) => void;
}

/** What one may do in a call. What he may not do is not there. */
export function CallControls({ media, state, callId, panel, onPanel }: Props) {
  const t = useT();
  const { calling } = useControl();
  const audio = useSelect((all) => may(all, "Audio"));
  const video = useSelect((all) => may(all, "Video"));
  const desktop = useSelect((all) => may(all, "DesktopSharing")) && "getDisplayMedia" in (navigator.mediaDevices ?? {});
  const chat = useSelect((all) => may(all, "Chat"));
  const unread = useSelect((all) => all.chat.unread[placeKey({ kind: "call", call: callId })] ?? 0);
  const toggle = (name: Exclude<Panel, null>) => ({ "aria-expanded": panel === name, className: panel === name ? "on" : "", onClick: () => onPanel(panel === name ? null : name) });
  return (
    <div className="controls" role="toolbar" aria-label={t("call.controls")}>
      {audio && (
        <RoundButton icon={state.microphone ? "mic" : "micOff"} label={t(state.microphone ? "call.mute" : "call.unmute")} className={state.microphone ? "" : "off"}
          disabled={state.asking === "microphone"} onClick={() => void media.setMicrophone(!state.microphone)} />
      )}
      {video && (
        <RoundButton icon={state.camera ? "video" : "videoOff"} label={t(state.camera ? "call.cameraOff" : "call.cameraOn")} className={state.camera ? "" : "off"}
          disabled={state.asking === "camera"} onClick={() => void media.setCamera(!state.camera)} />
      )}
      {desktop && (
        <RoundButton icon={state.screen ? "screenOff" : "screen"} label={t(state.screen ? "call.shareStop" : "call.share")} className={state.screen ? "on" : ""}
          disabled={state.asking === "screen" || state.line !== "connected"} onClick={() => void media.setScreen(!state.screen)} />
      )}
      {chat && (
        <span className="with-badge">
          <RoundButton icon="chat" label={t("call.chat")} {...toggle("chat")} />
          {unread > 0 && <span className="badge"><span aria-hidden="true">{unread}</span><span className="sr">{t("people.unread", { count: unread })}</span></span>}
        </span>
      )}
      <RoundButton icon="people" label={t("call.people")} {...toggle("people")} />
      <RoundButton icon="devices" label={t("call.devices")} {...toggle("devices")} />
      <RoundButton className="end" icon="hangUp" label={t("call.end")} onClick={() => void calling.hangUp()} />
    </div>
  );
}
