"""WHAT ONE MAY SEND: the functions of a user × what his browser asks of the media server. Pure.

The media server checks the source that a browser declares, and only that: a picture that is called a microphone would
pass. So the kind is checked against the source, and what a session description really sends against the functions. A
camera that is sent as a shared screen is of the same kind: nobody can tell them apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from livekit.protocol import rtc
from livekit.protocol.models import TrackSource, TrackType

from gate import sdp

SOURCES = {
    "Audio": (TrackSource.MICROPHONE,),
    "Video": (TrackSource.CAMERA,),
    "DesktopSharing": (TrackSource.SCREEN_SHARE, TrackSource.SCREEN_SHARE_AUDIO),
}
KINDS = {
    TrackSource.MICROPHONE: TrackType.AUDIO,
    TrackSource.SCREEN_SHARE_AUDIO: TrackType.AUDIO,
    TrackSource.CAMERA: TrackType.VIDEO,
    TrackSource.SCREEN_SHARE: TrackType.VIDEO,
}
MEDIA = {TrackType.AUDIO: "audio", TrackType.VIDEO: "video"}
MOST_OF_A_KIND = 4
"""Tracks of audio, and of video, that one may send in one description: a microphone and the sound of a screen, a camera
and a screen, and each once more while another device takes over."""

PASSED = {
    "offer", "answer", "add_track", "mute", "subscription", "track_setting", "leave", "sync_state", "ping", "ping_req",
    "subscription_permission", "update_audio_track", "update_video_track",
}  # fmt: skip
"""Kinds of requests that reach the media server. What it learns to understand tomorrow is refused until it is here."""
UNHEARD = {"trickle", "update_layers"}
"""Kinds that every browser sends and nobody needs: addresses of his, which the media server learns from packets."""


@dataclass(frozen=True)
class Rights:
    """`functions` of a user now. `lately` includes those that were taken away a moment ago: his browser stops to send
    what the media server does not pass on any more, but an offer of before may be on its way. `is_crowded`: the line
    is nearly full, and nobody begins to send a picture, so that those who talk are heard."""

    functions: frozenset[str]
    lately: frozenset[str] = frozenset()
    is_crowded: bool = False

    @property
    def sources(self) -> list[TrackSource]:
        """What the media server may take from him."""
        return sources(self.functions)

    @property
    def media(self) -> frozenset[str]:
        """Kinds of media that a session description of his may send."""
        return frozenset(MEDIA[KINDS[source]] for source in sources(self.functions | self.lately))


@dataclass(frozen=True)
class Refusal:
    """Why not: `reason` is a word to count by, `ends` whether the connection has to end with it."""

    reason: str
    message: str
    ends: bool = False


TOO_MANY_TRACKS = Refusal("TooManyTracks", "no more tracks at the moment")
"""What never sends a packet stands in no description, and the media server remembers it all the same."""


def sources(functions: Iterable[str]) -> list[TrackSource]:
    """What these functions allow to send, in a fixed order. Chat and FileSharing are not the media server's."""
    return [source for function in sorted(functions) for source in SOURCES.get(function, ())]


def refusal(request: rtc.SignalRequest, rights: Rights) -> Refusal | None:
    """Why this request must not reach the media server; None when it may."""
    kind = request.WhichOneof("message")
    if kind not in PASSED:
        return Refusal("NotPassed", f"requests {kind or 'of an unknown kind'} are not passed on")
    if kind == "add_track":
        return _of_track(request.add_track, rights)
    if kind in ("offer", "answer"):
        return _of_description(getattr(request, kind), rights)
    return None


def refusal_of_join(join: rtc.JoinRequest, rights: Rights) -> Refusal | None:
    """The same for what newer browsers bring with them when they come."""
    if join.metadata or join.participant_attributes:
        return Refusal("OwnMetadata", "a participant says nothing about himself")
    if any(count > MOST_OF_A_KIND for count in Counter(track.type for track in join.add_track_requests).values()):
        return TOO_MANY_TRACKS
    for track in join.add_track_requests:
        if found := _of_track(track, rights):
            return found
    return _of_description(join.publisher_offer, rights) if join.HasField("publisher_offer") else None


def _of_track(track: rtc.AddTrackRequest, rights: Rights) -> Refusal | None:
    if track.source not in KINDS or track.source not in rights.sources:
        return Refusal("Source", f"{_name(track.source)} is none of the user's functions")
    if track.type != KINDS[track.source]:
        return Refusal("Kind", f"{_name(track.source)} is of another kind")
    if rights.is_crowded and track.type == TrackType.VIDEO:
        return Refusal("Crowded", "the line is nearly full: no new pictures at the moment")
    return None


def _of_description(description: rtc.SessionDescription, rights: Rights) -> Refusal | None:
    found = sdp.sections(description.sdp)
    if found is None:
        return Refusal("Unreadable", "the session description is not understood", ends=True)
    sent = Counter(section.kind for section in found if section.sends)
    if foreign := sorted(sent.keys() - rights.media):
        return Refusal("Media", f"{' and '.join(foreign)} is none of the user's functions", ends=True)
    if max(sent.values(), default=0) > MOST_OF_A_KIND:
        return replace(TOO_MANY_TRACKS, ends=True)
    return None


def _name(source: int) -> str:
    return TrackSource.Name(source).lower() if source in TrackSource.values() else "an unknown source"
