"""What a user may send: functions × what his browser asks, as tables."""

from __future__ import annotations

import itertools
import os
import random

import pytest
from livekit.protocol import rtc
from livekit.protocol.models import TrackSource, TrackType

from unit.gate.gate_parts import ALL, description, functions, sdp

COUNT, SEED = int(os.environ.get("MCS_FUZZ", "1000")), int(os.environ.get("MCS_FUZZ_SEED", "16"))
AUDIO, VIDEO = TrackType.AUDIO, TrackType.VIDEO
ALLOWED = {
    ("Audio", TrackSource.MICROPHONE, AUDIO),
    ("Video", TrackSource.CAMERA, VIDEO),
    ("DesktopSharing", TrackSource.SCREEN_SHARE, VIDEO),
    ("DesktopSharing", TrackSource.SCREEN_SHARE_AUDIO, AUDIO),
}


def rights(*allowed: str, lately: tuple[str, ...] = ()) -> functions.Rights:
    return functions.Rights(frozenset(allowed), frozenset(lately))


def track(source: int, kind: int) -> rtc.SignalRequest:
    return rtc.SignalRequest(add_track=rtc.AddTrackRequest(cid="x", source=source, type=kind))


def offer(*media: str) -> rtc.SignalRequest:
    return rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp=description(*media)))


def reason(request: rtc.SignalRequest, allowed: functions.Rights) -> str | None:
    found = functions.refusal(request, allowed)
    return found.reason if found else None


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("source", TrackSource.values())
@pytest.mark.parametrize("kind", TrackType.values())
def test_a_track_is_of_a_source_and_a_kind_that_the_function_allows(function: str, source: int, kind: int) -> None:
    allowed = (function, source, kind) in ALLOWED
    assert (reason(track(source, kind), rights(function)) is None) == allowed
    assert (reason(track(source, kind), rights(*(other for other in ALL if other != function))) is None) == (
        not allowed and any((other, source, kind) in ALLOWED for other in ALL)
    )


@pytest.mark.parametrize("allowed", [(), ("Chat",), ("FileSharing", "Chat")])
def test_who_may_only_write_sends_no_medium(allowed: tuple[str, ...]) -> None:
    for source, kind in itertools.product(TrackSource.values(), TrackType.values()):
        assert reason(track(source, kind), rights(*allowed)) is not None
    assert reason(offer("audio sendonly"), rights(*allowed)) == "Media"
    assert reason(offer("audio recvonly", "video recvonly", "application"), rights(*allowed)) is None


def test_a_source_that_nobody_knows_is_refused() -> None:
    assert reason(track(77, AUDIO), rights(*ALL)) == "Source"
    assert reason(track(TrackSource.UNKNOWN, AUDIO), rights(*ALL)) == "Source"


@pytest.mark.parametrize(
    ("media", "allowed", "why"),
    [
        pytest.param(["audio sendonly"], ["Audio"], None, id="a microphone"),
        pytest.param(["audio sendrecv", "video recvonly"], ["Audio"], None, id="a microphone, and others' cameras"),
        pytest.param(["audio sendonly", "video sendonly"], ["Audio"], "Media", id="a picture besides"),
        pytest.param(["video sendrecv"], ["Audio"], "Media", id="a picture that is called a microphone elsewhere"),
        pytest.param(["video sendonly"], ["DesktopSharing"], None, id="a desktop"),
        pytest.param(["audio sendonly"], ["DesktopSharing"], None, id="a desktop's sound"),
        pytest.param(["audio sendonly"], ["Video"], "Media", id="sound where only a camera is allowed"),
        pytest.param(["video"], ["Audio"], "Media", id="no direction means both"),
        pytest.param(["video recvonly sendonly"], ["Audio"], "Media", id="two directions, the silent one first"),
        pytest.param(["video sendonly recvonly"], ["Audio"], "Media", id="two directions, the silent one last"),
        pytest.param(["video recvonly:x"], ["Audio"], "Media", id="a direction with a value is none"),
        pytest.param(["video recvonly sendrecv:1"], ["Audio"], "Media", id="unless it sends"),
        pytest.param(["video inactive"], ["Audio"], None, id="a camera that was taken away"),
        pytest.param(["Video recvonly"], ["Audio"], "Unreadable", id="a medium in other letters"),
        pytest.param(["text recvonly"], ["Audio"], "Unreadable", id="a medium that nobody needs"),
    ],
)
def test_what_an_offer_sends_is_among_the_functions(media: list[str], allowed: list[str], why: str | None) -> None:
    assert reason(offer(*media), rights(*allowed)) == why
    answer = rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp=description(*media)))
    assert reason(answer, rights(*allowed)) == why


def test_an_offer_that_cannot_be_read_or_sends_too_much_ends_the_connection_and_a_track_does_not() -> None:
    for request in (offer("video sendonly"), offer("text")):
        found = functions.refusal(request, rights("Audio"))
        assert found is not None and found.ends
    found = functions.refusal(track(TrackSource.CAMERA, VIDEO), rights("Audio"))
    assert found is not None and not found.ends


def test_an_offer_may_still_hold_what_was_taken_away_a_moment_ago_and_a_new_track_may_not() -> None:
    allowed = rights("Audio", lately=("Audio", "Video"))
    assert reason(offer("audio sendonly", "video sendonly"), allowed) is None
    assert reason(track(TrackSource.CAMERA, VIDEO), allowed) == "Source"


@pytest.mark.parametrize(
    ("media", "why"),
    [
        pytest.param(["audio sendonly"] * 4 + ["video sendonly"] * 4, None, id="as many as one may"),
        pytest.param(["audio sendonly"] * 5, "TooManyTracks", id="a fifth microphone"),
        pytest.param(["video sendonly"] * 5, "TooManyTracks", id="a fifth camera"),
        pytest.param(["video sendonly"] * 300, "TooManyTracks", id="hundreds"),
        pytest.param(["video"] * 5, "TooManyTracks", id="without a direction"),
        pytest.param(
            ["video recvonly"] * 60 + ["video inactive"] * 60 + ["video sendonly"], None, id="those of others"
        ),
    ],
)
def test_nobody_sends_more_tracks_of_a_kind_than_a_page_needs(media: list[str], why: str | None) -> None:
    found = functions.refusal(offer(*media), rights(*ALL))
    assert (found.reason if found else None) == why
    assert found is None or found.ends, "the offer would have to be answered"
    join = rtc.JoinRequest(publisher_offer=offer(*media).offer)
    found = functions.refusal_of_join(join, rights(*ALL))
    assert (found.reason if found else None) == why


def test_who_comes_in_brings_no_more_tracks_than_he_may_have_nor_a_picture_where_the_line_is_nearly_full() -> None:
    def join(source: int, kind: int, count: int) -> rtc.JoinRequest:
        return rtc.JoinRequest(add_track_requests=[track(source, kind).add_track] * count)

    assert functions.refusal_of_join(join(TrackSource.CAMERA, VIDEO, 4), rights(*ALL)) is None
    found = functions.refusal_of_join(join(TrackSource.CAMERA, VIDEO, 5), rights(*ALL))
    assert found is not None and found.reason == "TooManyTracks"
    crowded = functions.Rights(frozenset(ALL), is_crowded=True)
    found = functions.refusal_of_join(join(TrackSource.CAMERA, VIDEO, 1), crowded)
    assert found is not None and found.reason == "Crowded"
    assert functions.refusal_of_join(join(TrackSource.MICROPHONE, AUDIO, 1), crowded) is None


def test_where_the_line_is_nearly_full_nobody_begins_to_send_a_picture_and_everybody_may_talk() -> None:
    crowded = functions.Rights(frozenset(ALL), is_crowded=True)
    for source in (TrackSource.CAMERA, TrackSource.SCREEN_SHARE):
        assert reason(track(source, VIDEO), crowded) == "Crowded"
    assert reason(track(TrackSource.MICROPHONE, AUDIO), crowded) is None
    assert reason(offer("audio sendonly", "video sendonly"), crowded) is None, "a picture of before goes on"


def test_no_kind_of_request_is_passed_on_that_is_not_known() -> None:
    kinds = {field.name for field in rtc.SignalRequest.DESCRIPTOR.fields}
    assert kinds >= functions.PASSED | functions.UNHEARD
    for kind in kinds - functions.PASSED:
        request = rtc.SignalRequest()
        if kind == "ping":
            continue
        getattr(request, kind).SetInParent()
        assert reason(request, rights(*ALL)) == "NotPassed", kind
    assert reason(rtc.SignalRequest(), rights(*ALL)) == "NotPassed"


@pytest.mark.parametrize(
    ("join", "why"),
    [
        pytest.param(rtc.JoinRequest(), None, id="nothing"),
        pytest.param(rtc.JoinRequest(metadata="x"), "OwnMetadata", id="metadata"),
        pytest.param(rtc.JoinRequest(participant_attributes={"a": "b"}), "OwnMetadata", id="attributes"),
        pytest.param(
            rtc.JoinRequest(add_track_requests=[track(TrackSource.MICROPHONE, AUDIO).add_track]), None, id="microphone"
        ),
        pytest.param(
            rtc.JoinRequest(
                add_track_requests=[
                    track(TrackSource.MICROPHONE, AUDIO).add_track,
                    track(TrackSource.CAMERA, VIDEO).add_track,
                ]
            ),
            "Source",
            id="a camera behind a microphone",
        ),
        pytest.param(rtc.JoinRequest(publisher_offer=offer("audio sendonly").offer), None, id="an offer"),
        pytest.param(rtc.JoinRequest(publisher_offer=offer("video sendonly").offer), "Media", id="an offer with more"),
        pytest.param(rtc.JoinRequest(publisher_offer=rtc.SessionDescription()), "Unreadable", id="an empty offer"),
    ],
)
def test_what_a_browser_brings_with_it_is_judged_as_what_it_asks_later(join: rtc.JoinRequest, why: str | None) -> None:
    found = functions.refusal_of_join(join, rights("Audio"))
    assert (found.reason if found else None) == why


# ------------------------------------------------------------------------------------------- session descriptions


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_the_sections_of_a_description_are_read_whatever_ends_its_lines(ending: str) -> None:
    found = sdp.sections(description("audio sendonly", "video recvonly", "application", ending=ending))
    assert found == (
        sdp.Section("audio", True),
        sdp.Section("video", False),
        sdp.Section("application", False),
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("v=0\r\n\r\nm=audio 9 x 0\r\n", id="an empty line"),
        pytest.param("v=0\rm=video 9 x 0\r", id="line ends of another kind"),
        pytest.param("v=0\r\n m=video 9 x 0\r\n", id="a line that begins with a space"),
        pytest.param("v=0\r\nM=video 9 x 0\r\n", id="a line of another kind"),
        pytest.param("v=0\r\nm=audio 9 x 0\r\na=recvonly\x00\r\n", id="a NUL"),
        pytest.param("v=0\r\n" * 200_000, id="more than anybody says"),
    ],
)
def test_what_another_reader_might_understand_otherwise_is_not_understood(text: str) -> None:
    assert sdp.sections(text) is None


def test_a_browsers_addresses_are_left_out_and_nothing_else() -> None:
    offered = (
        description("audio sendonly") + "a=candidate:1 1 udp 1 198.18.254.18 80 typ host\r\na=end-of-candidates\r\n"
    )
    offered += "a=Candidate:1 1 udp 1 198.18.254.19 80 typ host\r\n"
    left = sdp.without_candidates(offered)
    assert "198.18.254" not in left
    assert left == description("audio sendonly") + "a=end-of-candidates\r\n"


def test_addresses_are_changed_as_whole_words_and_where_they_are_addresses() -> None:
    said = "c=IN IP4 10.0.0.1\r\na=candidate:1 1 udp 1 10.0.0.1 10000 typ host\r\na=msid:10.0.0.1 10.0.0.1\r\n"
    said += "a=candidate:1 1 udp 1 10.0.0.11 10000 typ host\r\n"
    assert sdp.readdressed(said, {"10.0.0.1": "203.0.113.10"}) == (
        "c=IN IP4 203.0.113.10\r\na=candidate:1 1 udp 1 203.0.113.10 10000 typ host\r\na=msid:10.0.0.1 10.0.0.1\r\n"
        "a=candidate:1 1 udp 1 10.0.0.11 10000 typ host\r\n"
    )


def test_any_text_is_a_description_or_none() -> None:
    """A thousand in `make test`, more by MCS_FUZZ, others by MCS_FUZZ_SEED."""
    chance = random.Random(SEED)  # noqa: S311 - the same each time
    pieces = ["m=", "a=", "audio", "video", "application", "sendrecv", "recvonly", "inactive", "\r", "\n", "\r\n", " ",
              "\x00", "é", "\u2028", "=", ":", "m=video 9 x 0", "a=recvonly", "a=candidate:1", "v=0"]  # fmt: skip
    read = 0
    for _ in range(COUNT):
        whole = description(*(chance.choice(["audio recvonly", "video sendonly", "video"]) for _ in range(3)))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(whole))
            whole = whole[:at] + chance.choice(pieces) + whole[at + chance.randrange(3) :]
        found = sdp.sections(whole)
        read += found is not None
        if found is not None:
            assert {section.kind for section in found} <= set(sdp.MEDIA)
            # A line that begins a section of pictures, as any reader sees lines, is known as one.
            assert whole.count("\nm=video") <= sum(section.kind == "video" for section in found)
            assert sdp.sections(sdp.without_candidates(whole)) == found
        sdp.readdressed(whole, {"127.0.0.1": "203.0.113.10"})
    assert COUNT / 10 < read < COUNT, "both ends are reached"
