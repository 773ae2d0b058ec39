"""WHAT IS SAID: the media server's messages, read from browsers and written to them.

What is passed on is what was read here, written anew: another reader of the same bytes may see another message (unknown
fields, a second stream of gzip).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from livekit.protocol import rtc

from gate import sdp

LARGEST_JOIN = 256 * 1024
"""Bytes of a join request, unpacked."""
_QUERY = {
    "sdk", "version", "protocol", "client_protocol", "auto_subscribe", "adaptive_stream", "subscriber_allow_pause",
    "reconnect", "reconnect_reason", "sid", "network", "browser", "browser_version", "os", "os_version", "device_model",
}  # fmt: skip
"""What an older browser may say in its address. A token, attributes and a recorder's mark are not among it."""
_TO_BROWSERS = {
    "join", "answer", "offer", "trickle", "update", "track_published", "leave", "mute", "speakers_changed",
    "room_update", "connection_quality", "stream_state_update", "subscribed_quality_update",
    "subscription_permission_update",
    "track_unpublished", "pong", "reconnect", "pong_resp", "subscription_response", "request_response",
    "track_subscribed", "media_sections_requirement", "subscribed_audio_codec_update",
}  # fmt: skip
"""Not among it: new tokens, which the media server would send every five minutes, and a room that one is moved to."""


@dataclass(frozen=True)
class View:
    """How one browser sees this server: `addresses` in the place of the pod's own, and servers that relay for it."""

    addresses: dict[str, str]
    ice: tuple[rtc.ICEServer, ...] = ()


def request(content: bytes) -> rtc.SignalRequest | None:
    """What a browser asks, without what is unknown here; None for what is no request."""
    try:
        found = rtc.SignalRequest.FromString(content)
    except DecodeError:
        return None
    found.DiscardUnknownFields()
    return found


def passed_on(asked: rtc.SignalRequest) -> bytes:
    """The request for the media server: without the browser's addresses, and without what it does not read."""
    kind = asked.WhichOneof("message")
    if kind == "offer":
        asked.offer.sdp = sdp.without_candidates(asked.offer.sdp)
    elif kind == "answer":
        asked.answer.sdp = sdp.without_candidates(asked.answer.sdp)
    elif kind == "sync_state":
        asked.sync_state.ClearField("offer")
        asked.sync_state.ClearField("answer")
    return asked.SerializeToString()


def join_request(text: str) -> rtc.JoinRequest | None:
    """What a newer browser brings in its address; None for what is none."""
    if not text:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        wrapped = rtc.WrappedJoinRequest.FromString(packed)
        content = wrapped.join_request
        if wrapped.compression == rtc.WrappedJoinRequest.GZIP:
            unpacking = zlib.decompressobj(wbits=31)
            content = unpacking.decompress(content, LARGEST_JOIN)
            if not unpacking.eof or unpacking.unused_data:
                return None
        elif wrapped.compression != rtc.WrappedJoinRequest.NONE:
            return None
        found = rtc.JoinRequest.FromString(content)
    except (binascii.Error, ValueError, DecodeError, zlib.error):
        return None
    found.DiscardUnknownFields()
    return found


def join_query(join: rtc.JoinRequest) -> dict[str, str]:
    """The address of the media server for it."""
    if join.HasField("publisher_offer"):
        join.publisher_offer.sdp = sdp.without_candidates(join.publisher_offer.sdp)
    join.sync_state.ClearField("offer")
    join.sync_state.ClearField("answer")
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(join.SerializeToString()) + packer.flush()
    wrapped = rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=packed)
    return {"join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()}


def plain_query(query: Mapping[str, str]) -> dict[str, str]:
    """The same for an older browser, which says it in words."""
    return {name: query[name][:200] for name in sorted(_QUERY & query.keys())}


@dataclass(frozen=True)
class Said:
    """What the media server says, as a browser may see it; `content` is None when it may not. `is_last`: the
    participant is out with it, and is not to come back."""

    content: bytes | None
    is_last: bool = False


def for_browser(content: bytes, view: View) -> Said:
    """What this browser may see of it."""
    try:
        said = rtc.SignalResponse.FromString(content)
    except DecodeError:
        return Said(None)
    kind = said.WhichOneof("message")
    if kind not in _TO_BROWSERS:
        return Said(None)
    if kind == "join":
        _replace_ice(said.join.ice_servers, view)
        said.join.ClearField("alternative_url")
    elif kind == "reconnect":
        _replace_ice(said.reconnect.ice_servers, view)
    elif kind in ("offer", "answer"):
        description = getattr(said, kind)
        description.sdp = sdp.readdressed(description.sdp, view.addresses)
    elif kind == "trickle":
        said.trickle.candidateInit = _candidate(said.trickle.candidateInit, view.addresses)
    elif kind == "leave":
        said.leave.ClearField("regions")
    else:
        return Said(content)
    is_last = kind == "leave" and said.leave.action == rtc.LeaveRequest.DISCONNECT
    return Said(said.SerializeToString(), is_last)


def refused(asked: rtc.SignalRequest, why: str) -> bytes:
    """The answer to a track that must not be."""
    said = rtc.SignalResponse()
    said.request_response.reason = rtc.RequestResponse.NOT_ALLOWED
    said.request_response.message = why
    said.request_response.add_track.CopyFrom(asked.add_track)
    return said.SerializeToString()


def relays(
    host: str, turn_port: int, turns_port: int, secret: str, whose: str, expires: int
) -> tuple[rtc.ICEServer, ...]:
    """The relays of this server with credentials of TURN's REST kind, good until `expires`.

    The relay counts by `whose` they are: the same word each time for one user, or who asks again would get more. It
    travels in the clear, so that it must not tell who he is.
    """
    username = f"{expires}:{pseudonym(secret, whose)}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    urls = [f"turn:{host}:{turn_port}?transport=udp", f"turn:{host}:{turn_port}?transport=tcp"]
    urls.append(f"turns:{host}:{turns_port}?transport=tcp")
    return (rtc.ICEServer(urls=urls, username=username, credential=base64.b64encode(digest).decode()),)


def pseudonym(secret: str, whose: str) -> str:
    """A word for somebody: always the same as long as this secret is, and nobody else can tell whose it is."""
    return hmac.new(secret.encode(), b"whose " + whose.encode(), hashlib.sha256).hexdigest()[:32]


def _replace_ice(servers: object, view: View) -> None:
    del servers[:]  # type: ignore[attr-defined]
    servers.extend(view.ice)  # type: ignore[attr-defined]


def _candidate(text: str, addresses: dict[str, str]) -> str:
    try:
        found = json.loads(text)
        found["candidate"] = sdp.readdressed(found["candidate"], addresses)
    except (ValueError, TypeError, KeyError):
        return text
    return json.dumps(found)
