"""What is said: nothing of it can be read in two ways, and no token leaves."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import zlib

import pytest
from livekit.protocol import rtc

from unit.gate.gate_parts import description, served, signalling

COUNT, SEED = int(os.environ.get("MCS_FUZZ", "1000")), int(os.environ.get("MCS_FUZZ_SEED", "16"))
VIEW = signalling.View({"10.0.0.1": "203.0.113.10"}, signalling.relays("meet.test", 3478, 443, "s", "acme/ada", 1_000))


def packed(join: bytes, compression: int = rtc.WrappedJoinRequest.GZIP) -> str:
    wrapped = rtc.WrappedJoinRequest(compression=compression, join_request=join)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def test_a_join_request_is_written_anew_without_what_is_not_known() -> None:
    offer = rtc.SessionDescription(type="offer", sdp=description("audio sendonly") + "a=candidate:1 1 udp 1 x 1\r\n")
    join = rtc.JoinRequest(publisher_offer=offer, reconnect=True, participant_sid="PA_1")
    unknown = b"\xfa\x3f\x03abc"  # a field that nobody knows yet
    for text in (
        packed(gzip.compress(join.SerializeToString() + unknown)),
        packed(join.SerializeToString() + unknown, 0),
    ):
        found = signalling.join_request(text.rstrip("="))
        assert found is not None
        again = signalling.join_request(signalling.join_query(found)["join_request"])
        assert again is not None
        assert again.publisher_offer.sdp == description("audio sendonly")
        assert (again.reconnect, again.participant_sid) == (True, "PA_1")
        assert b"abc" not in again.SerializeToString()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("§", id="no letter of it"),
        pytest.param("a+/=", id="another alphabet"),
        pytest.param(packed(b"x"), id="no gzip"),
        pytest.param(packed(gzip.compress(b"\xff\xff")), id="no message"),
        pytest.param(packed(gzip.compress(bytes(300_000))), id="more than anybody brings"),
        pytest.param(packed(gzip.compress(b"") + gzip.compress(b"x")), id="a second stream, which others read"),
        pytest.param(packed(gzip.compress(b"x" * 100)[:-4]), id="half a stream"),
        pytest.param(packed(zlib.compress(b"")), id="another wrapping"),
        pytest.param(packed(b"", 7), id="a compression of tomorrow"),
    ],
)
def test_what_is_no_join_request_is_none(text: str) -> None:
    assert signalling.join_request(text) is None


def test_a_small_packet_does_not_unpack_to_gigabytes() -> None:
    assert signalling.join_request(packed(gzip.compress(bytes(50_000_000)))) is None


def test_what_an_older_browser_says_is_passed_on_by_name_and_no_token_nor_attributes() -> None:
    query = {
        "access_token": "-",
        "attributes": "x",
        "publish": "x",
        "auto_subscribe": "1",
        "sdk": "js" * 500,
        "sid": "PA",
    }
    assert signalling.plain_query(query) == {"auto_subscribe": "1", "sdk": ("js" * 500)[:200], "sid": "PA"}


def test_a_second_message_in_an_unknown_field_is_not_passed_on() -> None:
    asked = signalling.request(rtc.SignalRequest(ping=7).SerializeToString() + b"\xfa\x3f\x03abc")
    assert asked is not None
    assert signalling.passed_on(asked) == rtc.SignalRequest(ping=7).SerializeToString()


def test_the_media_server_learns_no_address_from_a_browser() -> None:
    candidate = "a=candidate:1 1 udp 1 198.18.254.18 80 typ host\r\n"
    for kind in ("offer", "answer"):
        asked = rtc.SignalRequest(**{kind: rtc.SessionDescription(type=kind, sdp=description("audio") + candidate)})
        assert b"198.18" not in signalling.passed_on(asked)
    state = rtc.SyncState(offer=rtc.SessionDescription(sdp=candidate), answer=rtc.SessionDescription(sdp=candidate))
    assert b"198.18" not in signalling.passed_on(rtc.SignalRequest(sync_state=state))


def test_no_token_and_no_other_room_reaches_a_browser() -> None:
    for said in (
        rtc.SignalResponse(refresh_token="ey"),
        rtc.SignalResponse(room_moved=rtc.RoomMovedResponse(token="ey")),
    ):
        assert signalling.for_browser(said.SerializeToString(), VIEW).content is None
    assert signalling.for_browser(b"\xff", VIEW).content is None
    assert signalling.for_browser(b"", VIEW).content is None


def test_a_browser_sees_the_public_address_and_this_servers_relays_alone() -> None:
    def seen(said: rtc.SignalResponse) -> rtc.SignalResponse:
        return rtc.SignalResponse.FromString(signalling.for_browser(said.SerializeToString(), VIEW).content or b"")

    stranger = rtc.ICEServer(urls=["stun:stun.example.org"])
    for said in (
        rtc.SignalResponse(join=rtc.JoinResponse(ice_servers=[stranger], alternative_url="wss://other")),
        rtc.SignalResponse(reconnect=rtc.ReconnectResponse(ice_servers=[stranger])),
    ):
        kind = said.WhichOneof("message")
        servers = getattr(seen(said), kind).ice_servers
        assert [url for server in servers for url in server.urls] == [
            "turn:meet.test:3478?transport=udp",
            "turn:meet.test:3478?transport=tcp",
            "turns:meet.test:443?transport=tcp",
        ]
        assert servers[0].username == f"1000:{signalling.pseudonym('s', 'acme/ada')}"
    assert not seen(rtc.SignalResponse(join=rtc.JoinResponse(alternative_url="wss://other"))).join.alternative_url
    candidate = {"candidate": "candidate:1 1 udp 2130706431 10.0.0.1 10000 typ host", "sdpMid": "0"}
    trickled = rtc.SignalResponse(trickle=rtc.TrickleRequest(candidateInit=json.dumps(candidate)))
    assert "203.0.113.10 10000" in json.loads(seen(trickled).trickle.candidateInit)["candidate"]
    offered = rtc.SignalResponse(offer=rtc.SessionDescription(sdp="a=candidate:1 1 udp 1 10.0.0.1 10000 typ host\r\n"))
    assert "10.0.0.1" not in seen(offered).offer.sdp


def test_only_who_shall_not_come_back_is_out() -> None:
    for action, last in (
        (rtc.LeaveRequest.DISCONNECT, True),
        (rtc.LeaveRequest.RESUME, False),
        (rtc.LeaveRequest.RECONNECT, False),
    ):
        said = rtc.SignalResponse(leave=rtc.LeaveRequest(action=action))
        assert signalling.for_browser(said.SerializeToString(), VIEW).is_last == last


def test_any_bytes_are_a_request_or_none() -> None:
    """A thousand in `make test`, more by MCS_FUZZ, others by MCS_FUZZ_SEED."""
    chance = random.Random(SEED)  # noqa: S311 - the same each time
    whole = rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=description("audio"))).SerializeToString()
    understood = 0
    for _ in range(COUNT):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        asked = signalling.request(bytes(content))
        understood += asked is not None
        if asked is not None:
            assert signalling.request(signalling.passed_on(asked)) is not None
        text = base64.urlsafe_b64encode(bytes(content)).decode()
        signalling.join_request(text[: chance.randrange(len(text))])
        signalling.for_browser(bytes(content), VIEW)
        served.understand(bytes(content))
    assert 0 < understood < COUNT, "both ends are reached"
