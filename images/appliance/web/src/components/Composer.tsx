import { type KeyboardEvent, useRef, useState } from "react";
import { IconButton } from "./Button";
import { useT } from "./hooks";

const MOST = 4000;

interface Props {
  label: string;
  onSend: ((text: string) => void) | null;
  onFiles: ((files: FileList | null) => void) | null;
}

/** Enter sends, with Shift it begins a new line. A word that is being composed (Japanese, say) ends with Enter, too. */
export function Composer({ label, onSend, onFiles }: Props) {
  const t = useT();
  const [text, setText] = useState("");
  const files = useRef<HTMLInputElement>(null);
  const send = (): void => {
    if (!text.trim()) return;
    onSend?.(text.trim());
    setText("");
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form className="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      {onFiles && (
        <>
          <input ref={files} type="file" multiple hidden tabIndex={-1} aria-label={t("chat.attach")}
            onChange={(event) => { onFiles(event.target.files); event.target.value = ""; }} />
          <IconButton icon="clip" label={t("chat.attach")} onClick={() => files.current?.click()} />
        </>
      )}
      {onSend && (
        <>
          <textarea value={text} rows={Math.min(6, text.split("\n").length)} maxLength={MOST} placeholder={t("chat.placeholder")} aria-label={label}
            onChange={(event) => setText(event.target.value)} onKeyDown={onKeyDown}
            onPaste={(event) => { if (onFiles && event.clipboardData.files.length > 0) { event.preventDefault(); onFiles(event.clipboardData.files); } }} />
          <IconButton icon="plane" type="submit" className="send" label={t("chat.send")} disabled={!text.trim()} />
        </>
      )}
    </form>
  );
}
