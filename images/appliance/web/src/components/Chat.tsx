import { type DragEvent, useEffect, useMemo, useState } from "react";
import { type Place, placeKey, placeOf } from "../api/types";
import { noConversation } from "../state/chat";
import { may } from "../state/state";
import { Composer } from "./Composer";
import { Timeline } from "./Timeline";
import { useControl, useSelect, useT, useVisible } from "./hooks";

/** What was written at a place, and where one writes. `name`: the colleague, where it is with one. */
export function Chat({ place: given, name }: { place: Place; name: string }) {
  const t = useT();
  const control = useControl();
  const key = placeKey(given);
  const place = useMemo(() => placeOf(key), [key]);
  const conversation = useSelect((state) => state.chat.conversations[key] ?? noConversation);
  const chat = useSelect((state) => may(state, "Chat"));
  const files = useSelect((state) => may(state, "FileSharing")) && place.kind === "user";
  const visible = useVisible();
  const [over, setOver] = useState(false);

  // Read anew when one may more than before: what was refused then is there now.
  useEffect(() => void control.talking.open(place), [control, place, chat, files]);
  useEffect(() => {
    control.store.dispatch({ type: "chat-open", key: visible ? key : null });
    return () => control.store.dispatch({ type: "chat-open", key: null });
  }, [control, key, visible]);

  const sendFiles = (list: FileList | null): void => {
    if (!files || place.kind !== "user") return;
    for (const file of list ?? []) void control.talking.sendFile(place.user, file);
  };
  const onDrag = (event: DragEvent): void => {
    if (!files || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    setOver(event.type === "dragover");
    if (event.type === "drop") sendFiles(event.dataTransfer.files);
  };

  return (
    <div className="chat" onDragOver={onDrag} onDragLeave={onDrag} onDrop={onDrag}>
      <Timeline
        conversation={conversation}
        label={place.kind === "user" ? t("chat.log", { name }) : t("chat.callLog")}
        empty={t(place.kind === "user" ? "chat.empty" : "chat.emptyCall")}
        closed={t("chat.refused", { name })}
        onOlder={() => void control.talking.older(place)}
        onAgain={() => void control.talking.open(place)}
        onSendAgain={(text, local) => void control.talking.send(place, text, local)}
        onDrop={(local) => place.kind === "user" && control.talking.drop(place.user, local)}
      />
      {over && <p className="drop-here">{t("chat.drop", { name })}</p>}
      {conversation.state !== "closed" && <Composer
        label={place.kind === "user" ? t("chat.write", { name }) : t("chat.writeCall")}
        onSend={chat ? (text) => void control.talking.send(place, text) : null}
        onFiles={files ? sendFiles : null}
      />}
    </div>
  );
}
