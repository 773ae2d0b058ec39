import { useEffect, useLayoutEffect, useRef } from "react";
import { filePath } from "../api/client";
import { clock, day, size } from "../i18n/format";
import type { Conversation, Uploading } from "../state/chat";
import { nameOf } from "../state/people";
import { type Entry, type Group, linked, timeline } from "../state/timeline";
import { Avatar } from "./Avatar";
import { IconButton } from "./Button";
import { Icon } from "./Icon";
import { useLanguage, useSelect, useT } from "./hooks";

interface Props {
  conversation: Conversation;
  label: string;
  empty: string;
  closed: string;
  onOlder: () => void;
  onAgain: () => void;
  onSendAgain: (text: string, local: string) => void;
  onDrop: (local: string) => void;
}

export function Timeline(props: Props) {
  const { conversation } = props;
  const t = useT();
  const me = useSelect((state) => state.me?.user ?? "");
  const groups = timeline(conversation, me);
  const log = useScrolled(conversation);
  return (
    <div ref={log} className="log" role="log" aria-label={props.label} aria-busy={conversation.state === "loading"} tabIndex={0}>
      {conversation.before && (
        <button type="button" className="link older" disabled={conversation.state === "loading"} onClick={props.onOlder}>{t("chat.older")}</button>
      )}
      {conversation.state === "loading" && groups.length === 0 && <p className="log-empty">{t("chat.loading")}</p>}
      {conversation.state === "failed" && (
        <p className="log-empty">{t("chat.failed")} <button type="button" className="link" onClick={props.onAgain}>{t("people.again")}</button></p>
      )}
      {conversation.state === "closed" && <p className="log-empty">{props.closed}</p>}
      {conversation.state === "read" && groups.length === 0 && <p className="log-empty">{props.empty}</p>}
      {groups.map((group) => <GroupView key={group.key} group={group} mine={group.from === me} {...props} />)}
    </div>
  );
}

function GroupView({ group, mine, onSendAgain, onDrop }: Props & { group: Group; mine: boolean }) {
  const t = useT();
  const language = useLanguage();
  const name = useSelect((state) => nameOf(state.people, group.from));
  return (
    <>
      {group.day !== null && <p className="day"><span>{day(group.day, Date.now(), language)}</span></p>}
      <div className={`group ${mine ? "mine" : "theirs"}`}>
        {!mine && <Avatar user={group.from} name={name} size="s" />}
        <div className="bubbles">
          <p className="said-by">
            <span className={mine ? "sr" : ""}>{mine ? t("chat.you") : name}</span>{" "}
            <time dateTime={new Date(group.at).toISOString()}>{clock(group.at, language)}</time>
          </p>
          {group.entries.map((entry) => <EntryView key={entry.key} entry={entry} onSendAgain={onSendAgain} onDrop={onDrop} />)}
        </div>
      </div>
    </>
  );
}

function EntryView({ entry, onSendAgain, onDrop }: { entry: Entry } & Pick<Props, "onSendAgain" | "onDrop">) {
  const t = useT();
  const language = useLanguage();
  if (entry.kind === "message") return <p className="bubble"><Text text={entry.message.text} /></p>;
  if (entry.kind === "upload") return <UploadView upload={entry.upload} onDrop={() => onDrop(entry.key)} />;
  if (entry.kind === "file") {
    const bytes = size(entry.file.size, language);
    return (
      <a className="bubble file" href={filePath(entry.file.id)} download={entry.file.name} aria-label={t("file.download", { file: entry.file.name, size: bytes })}>
        <span className="file-icon"><Icon name="file" /></span>
        <span className="file-text"><span className="file-name">{entry.file.name}</span><span className="file-size">{bytes}</span></span>
        <Icon name="download" />
      </a>
    );
  }
  const { text, local, failed } = entry.sending;
  return (
    <div className={`bubble sending ${failed ? "failed" : ""}`}>
      <p><Text text={text} /></p>
      <p className="sending-state">
        {t(failed ? "chat.notSent" : "chat.sending")}{" "}
        {failed && <button type="button" className="link" onClick={() => onSendAgain(text, local)}>{t("chat.again")}</button>}
      </p>
    </div>
  );
}

function UploadView({ upload, onDrop }: { upload: Uploading; onDrop: () => void }) {
  const t = useT();
  const language = useLanguage();
  const limit = useSelect((state) => state.me?.limits.fileBytes ?? 0);
  const percent = upload.size ? Math.floor((100 * upload.sent) / upload.size) : 0;
  return (
    <div className={`bubble file ${upload.problem ? "failed" : ""}`}>
      <span className="file-icon"><Icon name={upload.problem ? "alert" : "file"} /></span>
      <span className="file-text">
        <span className="file-name">{upload.name}</span>
        {upload.problem ? <span className="file-size" role="alert">{t(upload.problem, { limit: size(limit, language) })}</span> : (
          <>
            <progress max={100} value={percent} aria-label={t("file.sending", { file: upload.name })} />
            <span className="file-size">{t("file.progress", { percent, size: size(upload.size, language) })}</span>
          </>
        )}
      </span>
      <IconButton icon="close" label={t(upload.problem ? "file.dismiss" : "file.cancel", { file: upload.name })} onClick={onDrop} />
    </div>
  );
}

/** Always text nodes: nothing that somebody wrote is ever read as HTML. */
function Text({ text }: { text: string }) {
  return linked(text).map((part, index) =>
    part.href ? <a key={index} href={part.href} target="_blank" rel="noopener noreferrer">{part.text}</a> : part.text,
  );
}

/** Stays at the newest entry when it was there, and at what one reads when older ones come in above. */
function useScrolled(conversation: Conversation) {
  const log = useRef<HTMLDivElement>(null);
  const height = useRef(0);
  const atEnd = useRef(true);
  const first = conversation.messages[0]?.id;
  const before = useRef(first);

  useLayoutEffect(() => {
    const element = log.current;
    if (!element) return;
    if (atEnd.current) element.scrollTop = element.scrollHeight;
    else if (before.current !== first) element.scrollTop += element.scrollHeight - height.current;
    before.current = first;
    height.current = element.scrollHeight;
  });
  useEffect(() => {
    const element = log.current;
    if (!element) return;
    const onScroll = (): void => {
      atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 60;
    };
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => element.removeEventListener("scroll", onScroll);
  }, []);
  return log;
}
