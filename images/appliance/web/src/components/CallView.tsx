import { useEffect, useRef, useState } from "react";
import type { Call } from "../api/types";
import { duration } from "../i18n/format";
import type { Problem } from "../media/problems";
import type { CallMedia, MediaState } from "../media/room";
import { verdict } from "../state/calls";
import { may } from "../state/state";
import { type Main, type Tile, mainOf, tilesOf } from "../state/tiles";
import { CallControls, type Panel } from "./CallControls";
import { CallPanel } from "./CallPanel";
import { ProblemNote } from "./ProblemNote";
import { TileView } from "./TileView";
import { useControl, useMedia, useMediaState, useNow, useSelect, useT } from "./hooks";

export function CallView() {
  const call = useSelect((state) => state.calls.current?.call ?? null);
  const media = useMedia();
  const state = useMediaState(media);
  return call && media && state && <Stage call={call} media={media} state={state} />;
}

function Stage({ call, media, state }: { call: Call; media: CallMedia; state: MediaState }) {
  const t = useT();
  const control = useControl();
  const me = useSelect((all) => all.me?.user ?? "");
  const speaks = useSelect((all) => may(all, "Audio"));
  const [panel, setPanel] = useState<Panel>(null);
  const [pinned, setPinned] = useState<string | null>(null);
  const tiles = tilesOf(call.members, state.seats, me);
  const main = mainOf(tiles, pinned);
  const names = tiles.filter((tile) => !tile.me).map((tile) => tile.name).join(", ");
  useArrivals(call, me);

  const members = call.members.map((member) => member.user).join("\n");
  useEffect(() => {
    control.directory.show("call", members.split("\n"));
    return () => control.directory.show("call", []);
  }, [control, members]);

  const pin = (tile: Tile): void => {
    const next = pinned === tile.key ? null : tile.key;
    setPinned(next);
    media.pin(next);
  };

  return (
    <div className={`call ${panel ? "with-panel" : ""}`}>
      <div className="stage">
        <header className="call-head">
          <h1>{t("call.with", { names })}</h1>
          <CallState state={state} />
        </header>
        <div className="call-notes">
          {state.problems.map((problem) => (
            <ProblemNote key={problem.about} problem={problem} onAgain={againOf(media, problem)} onClose={() => media.forget(problem.about)} />
          ))}
          {state.screen && <p className="banner banner-good">{t("call.screenYours")}</p>}
          {!speaks && <p className="banner banner-good">{t("call.listening")}</p>}
          {state.soundBlocked && (
            <div className="banner banner-warn" role="alert">
              <p>{t("call.sound")}</p>
              <button type="button" className="button small" onClick={() => void media.startSound()}>{t("call.soundOn")}</button>
            </div>
          )}
        </div>
        <Tiles tiles={tiles} main={main} pinned={pinned} media={media} onPin={pin} />
        <CallControls media={media} state={state} callId={call.id} panel={panel} onPanel={setPanel} />
      </div>
      {panel && <CallPanel panel={panel} call={call} onClose={() => setPanel(null)} />}
    </div>
  );
}

/** With a desktop or a chosen picture it is large and all others are small beside it; else all are alike. */
function Tiles({ tiles, main, pinned, media, onPin }: { tiles: Tile[]; main: Main; pinned: string | null; media: CallMedia; onPin: (tile: Tile) => void }) {
  const two = tiles.length <= 2 && !main;
  const view = (tile: Tile, className: string) => (
    <TileView key={tile.key} tile={tile} media={media} className={className} pinned={tile.key === pinned} onPin={tiles.length > 2 && !tile.me ? () => onPin(tile) : null} />
  );
  if (two) {
    return (
      <div className="tiles tiles-two">
        {tiles.map((tile) => view(tile, tile.me && tiles.length > 1 ? "tile-own" : "tile-whole"))}
      </div>
    );
  }
  if (main) {
    const rest = main.kind === "screen" ? tiles : tiles.filter((tile) => tile !== main.tile);
    return (
      <div className="tiles tiles-main">
        <div className="tile-main">
          {main.kind === "screen" ? <TileView tile={main.tile} media={media} source="screen" className="tile-screen" pinned={false} onPin={null} /> : view(main.tile, "tile-whole")}
        </div>
        <div className="tile-strip">{rest.map((tile) => view(tile, "tile-small"))}</div>
      </div>
    );
  }
  return <div className={`tiles tiles-grid tiles-${Math.min(9, tiles.length)}`}>{tiles.map((tile) => view(tile, ""))}</div>;
}

function CallState({ state }: { state: MediaState }) {
  const t = useT();
  const now = useNow();
  const current = useSelect((all) => all.calls.current);
  const me = useSelect((all) => all.me?.user ?? "");
  const waiting = current !== null && !current.answered && verdict(current, me) === "waiting";
  return (
    <p className="call-state">
      <span role="status">
        {state.line === "connecting" && t("call.connecting")}
        {state.line === "reconnecting" && t("call.reconnecting")}
        {state.line === "connected" && waiting && t("call.ringing")}
      </span>
      {state.line === "connected" && !waiting && state.since && (
        <span className="call-time"><span className="sr">{t("call.duration")} </span>{duration(now - state.since)}</span>
      )}
    </p>
  );
}

function againOf(media: CallMedia, problem: Problem): (() => void) | undefined {
  if (problem.about === "microphone") return () => void media.setMicrophone(true);
  if (problem.about === "camera") return () => void media.setCamera(true);
  return undefined;
}

/** Who came and who went, said once: the tiles show it, but not to one who cannot see them. */
function useArrivals(call: Call, me: string): void {
  const { context } = useControl();
  const before = useRef(new Map(call.members.map((member) => [member.user, member.state])));
  useEffect(() => {
    if (call.ended) return;
    const others = call.members.filter((member) => member.user !== me);
    for (const member of others) {
      const was = before.current.get(member.user);
      if (was === member.state) continue;
      const name = member.displayName;
      if (member.state === "in") context.say("info", "call.joined", { name });
      else if (member.state === "left" && was === "in" && others.length > 1) context.say("info", "call.left", { name });
      else if (member.state === "left" && was === "ringing" && others.length > 1) context.say("info", "call.unanswered", { name });
      else if (member.state === "refused" && others.length > 1) context.say("info", "call.refusedBy", { name });
    }
    before.current = new Map(call.members.map((member) => [member.user, member.state]));
  }, [call, context, me]);
}
