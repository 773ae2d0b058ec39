/** Who is shown in a call: those whom the portal knows, with what the media server knows of them. Pure. */
import type { Member } from "../api/types";
import type { Seat } from "../media/seats";

export interface Tile {
  key: string;
  user: string;
  name: string;
  me: boolean;
  state: "ringing" | "connecting" | "here";
  seat: Seat | null;
}

export function tilesOf(members: Member[], seats: Seat[], me: string): Tile[] {
  const names = new Map(members.map((member) => [member.user, member.displayName]));
  const here = new Set(seats.map((seat) => seat.user));
  const own = seats.find((seat) => seat.me) ?? null;
  const tiles: Tile[] = seats
    .filter((seat) => !seat.me)
    .map((seat) => ({
      key: seat.identity, user: seat.user, name: names.get(seat.user) ?? seat.user, me: false, state: "here" as const, seat,
    }));
  for (const member of members) {
    if (member.user === me || here.has(member.user)) continue;
    if (member.state !== "ringing" && member.state !== "in") continue;
    const state = member.state === "ringing" ? "ringing" : "connecting";
    tiles.push({ key: member.user, user: member.user, name: member.displayName, me: false, state, seat: null });
  }
  tiles.push({ key: "me", user: me, name: names.get(me) ?? me, me: true, state: "here", seat: own });
  return tiles;
}

export type Main = { kind: "screen" | "camera"; tile: Tile } | null;

/** What gets most of the room: a desktop, else whom one wants to see. Without either all are alike. */
export function mainOf(tiles: Tile[], pinned: string | null): Main {
  const screen = tiles.find((tile) => !tile.me && tile.seat?.screen) ?? null;
  if (screen) return { kind: "screen", tile: screen };
  const tile = tiles.find((one) => one.key === pinned && !one.me);
  return tile ? { kind: "camera", tile } : null;
}
