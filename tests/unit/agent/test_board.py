"""Versions of the report: when there is a new one, and when there is none."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mcs_operator.agent.board import CALM, Board, Counters
from mcs_operator.agent.inputs import Established, Gone, Refusal, Refused, Session, Slot
from mcs_operator.agent.lines import Client, Listing, Noise
from mcs_operator.agent.metrics import exposition
from mcs_operator.agent.tunnel import Link
from mcs_operator.contract.linkstate import (
    LinkReport,
    LinkState,
    MediaState,
    SlotState,
    TunnelReason,
    TunnelState,
    TunnelStatus,
)
from support.virtual_time import VirtualTime

NOW = 1_800_000_000.0
RUNNING = Slot(SlotState.RUNNING, "revision-1")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def session(number: int = 0, since: float = NOW) -> Session:
    return Session(number, "203.0.113.5:40000", since, "2.4.12", "ab" * 32)


def listing(received: int = 0, sent: int = 0, number: int = 0, since: float = NOW) -> Listing:
    return Listing((Client(Session(number, "203.0.113.5:40000", since), received, sent),))


async def calm() -> None:
    await asyncio.sleep(CALM * 1.5)


async def board_with(*numbers: int) -> Board:
    board = Board(Clock())
    for number in numbers:
        board.slot_says(number, RUNNING)
        board.hear(number, Listing(()))
    board.looked_at_all()
    board.media_says(None)
    await calm()
    return board


@pytest.mark.parametrize("count", [0, 1, 249, 250])
async def test_links_that_come_up_together_are_one_version(count: int) -> None:
    numbers = range(2, 2 + count)
    board = await board_with(*numbers)
    before = board.report.version
    for number in numbers:
        board.hear(number, Established(session()))
    await calm()
    assert board.report.version == before + (1 if count else 0)
    assert [link.slot for link in board.report.links] == list(numbers)
    assert {link.tunnel.reason for link in board.report.links} <= {TunnelReason.ESTABLISHED}


async def test_counters_make_no_version() -> None:
    board = await board_with(17)
    board.hear(17, Established(session()))
    await calm()
    before = board.report
    for passed in range(1, 20):
        board.hear(17, listing(passed * 1000, passed * 500))
        board.hear(17, Noise())
        board.hear(17, Refused(Refusal.NOT_PINNED, "198.51.100.9"))
        board.counters[17].rtt = passed / 100
    await calm()
    assert board.report == before
    assert (board.counters[17].received, board.counters[17].noise, board.counters[17].refused) == (19_000, 19, 19)


async def test_a_slot_that_is_free_is_not_listed() -> None:
    board = await board_with(2, 3)
    board.slot_says(2, Slot(SlotState.IDLE))
    board.slot_says(4, Slot(SlotState.IDLE))
    board.slot_says(5, Slot(SlotState.IDLE, "revision-9"))
    await calm()
    assert [link.slot for link in board.report.links] == [3, 5]


async def test_a_slot_whose_first_set_is_bad_is_listed_with_its_error() -> None:
    board = Board(Clock())
    board.slot_says(2, Slot(SlotState.QUARANTINED, None, "the set is incomplete"))
    await calm()
    assert board.report.links[0].error == "the set is incomplete"


async def test_one_who_waits_is_answered_when_something_changes() -> None:
    board = await board_with(17)
    known = board.report
    waiting = asyncio.create_task(board.wait(known.epoch, known.version, 5))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    board.hear(17, Established(session()))
    report = await asyncio.wait_for(waiting, 1)
    assert report.version == known.version + 1


async def test_one_who_waits_for_nothing_gets_the_same_version_in_time() -> None:
    board = await board_with(17)
    assert await board.wait(board.report.epoch, board.report.version, 0.05) == board.report


@pytest.mark.parametrize(("epoch", "older"), [("another", 0), (None, 0), ("same", 1)])
async def test_one_who_knows_another_version_is_answered_at_once(epoch: str | None, older: int) -> None:
    board = await board_with(17)
    named = board.report.epoch if epoch == "same" else epoch
    async with asyncio.timeout(0.5):
        assert await board.wait(named, board.report.version - older, 30) == board.report


async def test_the_first_report_waits_until_every_running_openvpn_was_read() -> None:
    board = Board(Clock())
    for number in (2, 3):
        board.slot_says(number, RUNNING)
    board.slot_says(4, Slot(SlotState.IDLE))
    board.looked_at_all()
    board.media_says(None)
    first = asyncio.create_task(board.wait(None, None, 5))
    board.hear(2, Listing(()))
    await calm()
    assert not first.done(), "else a restarted agent would call link 3 unknown, and each such word is a write"
    board.hear(3, Established(session()))
    report = await asyncio.wait_for(first, 1)
    assert [link.slot for link in report.links] == [2, 3]


async def test_what_only_time_changes_is_told_too() -> None:
    clock = Clock()
    board = Board(clock)
    board.slot_says(17, RUNNING)
    board.hear(17, Established(session()))
    board.hear(17, Gone())
    await calm()
    assert board.report.links[0].tunnel.reason is TunnelReason.ESTABLISHED
    clock.now += 4
    board.tick()
    await calm()
    assert board.report.links[0].tunnel.reason is TunnelReason.LOST


async def test_a_moment_that_is_due_is_taken_up_then_and_not_before() -> None:
    clock = Clock()
    board = Board(clock)
    board.slot_says(17, RUNNING)
    board.hear(17, Established(session()))
    board.hear(17, Gone())
    for passed, ended in ((2.9, False), (3.0, True)):
        clock.now = NOW + passed
        board.tick()
        assert (board.links[17].ended is None) is ended
    await calm()


async def test_a_link_is_reported_with_all_that_is_known_of_it() -> None:
    board = await board_with(17)
    board.slot_says(17, Slot(SlotState.RUNNING, "revision-1", "an error", 7))
    board.hear(17, Established(session()))
    await calm()
    assert board.report.links == [
        LinkState(
            slot=17,
            revision="revision-1",
            state=SlotState.RUNNING,
            error="an error",
            tunnel=TunnelState(
                status=TunnelStatus.TRUE,
                reason=TunnelReason.ESTABLISHED,
                since=datetime.fromtimestamp(NOW, UTC),
                peer="203.0.113.5:40000",
                clientVersion="2.4.12",
                fingerprint="ab" * 32,
            ),
        )
    ]


async def test_the_first_version_is_one_and_each_epoch_another_of_16_digits() -> None:
    first, second = Board(Clock()), Board(Clock())
    assert (first.report.version, first.report.links, first.report.media) == (0, [], None)
    assert first.report.epoch != second.report.epoch
    assert len(first.report.epoch) == 16
    assert not first.closed
    first.slot_says(17, RUNNING)
    first.complete_now()
    assert first.report.version == 1
    first.close()


async def test_a_report_is_complete_once_all_slots_and_the_appliance_were_asked() -> None:
    for first, second in ((Board.looked_at_all, ask_media), (ask_media, Board.looked_at_all)):
        board = Board(Clock())
        board.slot_says(17, Slot(SlotState.IDLE, "revision-1"))
        assert not board.complete.is_set()
        first(board)
        assert not board.complete.is_set()
        second(board)
        assert board.complete.is_set()
        board.close()


def ask_media(board: Board) -> None:
    board.media_says(None)


async def test_before_the_first_report_is_complete_it_names_no_appliance() -> None:
    board = Board(Clock())
    board.slot_says(17, RUNNING)
    board.media_says(MediaState(connections=5))
    assert board.media == MediaState(connections=5)
    assert board.report.media is None
    board.complete_now()
    assert board.report.media == MediaState(connections=5)
    board.close()


async def test_a_link_that_changes_leaves_the_appliance_as_it_was_reported() -> None:
    board = await board_with(17)
    board.media_says(MediaState(connections=5))
    await calm()
    board.hear(17, Established(session()))
    await calm()
    assert board.report.links[0].tunnel.status is TunnelStatus.TRUE
    assert board.report.media == MediaState(connections=5)


async def test_after_closing_nothing_is_planned_any_more() -> None:
    board = await board_with(17)
    before = board.report
    board.hear(17, Established(session()))
    board.close()
    board.hear(17, Listing(()))
    await calm()
    assert board.report == before
    board = Board(Clock())
    board.close()
    assert await asyncio.wait_for(board.wait(None, None, 60), 0.5) == board.report, "also before it was complete"


async def test_connected_are_the_slots_with_a_tunnel() -> None:
    board = await board_with(17, 18)
    board.hear(17, Established(session()))
    assert board.connected() == {17: session()}


def test_nothing_is_counted_yet_of_a_new_slot() -> None:
    assert Counters() == Counters(received=0, sent=0, refused=0, noise=0, rtt=None, last=None)
    counters = Counters()
    for passed in (0, -5):
        counters.pass_on(Client(Session(1, "10.0.0.1:5", 1), passed, passed))
        assert (counters.received, counters.sent) == (0, 0)


async def test_calls_that_come_and_go_are_no_news_unless_the_media_drains() -> None:
    board = await board_with()
    board.media_says(MediaState(connections=5))
    await calm()
    before = board.report.version
    board.media_says(MediaState(connections=6))
    await calm()
    assert board.report.version == before
    board.media_says(MediaState(connections=6, draining=True))
    await calm()
    board.media_says(MediaState(connections=5, draining=True))
    await calm()
    assert board.report.version == before + 2
    board.media_says(None)
    await calm()
    assert board.report.media is None


async def test_that_calls_began_or_that_the_last_one_ended_is_news() -> None:
    board = await board_with()
    board.media_says(MediaState(connections=0))
    await calm()
    for connections in (200, 0):
        before = board.report.version
        board.media_says(MediaState(connections=connections))
        await calm()
        assert board.report.version == before + 1, "by it a restart lets calls end, or need not"
        assert board.report.media == MediaState(connections=connections)


async def test_whoever_asks_is_told_the_connections_of_now() -> None:
    board = await board_with()
    board.media_says(MediaState(connections=5))
    await calm()
    before = board.report.version
    board.media_says(MediaState(connections=200))
    told = await board.wait(None, None, 0)
    assert (told.version, told.media) == (before, MediaState(connections=200))


async def test_a_link_that_cannot_be_told_is_told_as_such_and_all_others_are_told() -> None:
    """Behind all doors once more: no value that got in may silence the report."""
    board = await board_with(17, 18)
    board.hear(17, Established(session()))
    board.links[17] = replace(board.links[17], flaps=-1)
    board.hear(18, Established(session()))
    await calm()
    bad, good = board.report.links
    assert (bad.slot, bad.error) == (17, "the link agent cannot tell about this slot")
    assert good.tunnel.reason is TunnelReason.ESTABLISHED


async def test_a_time_that_no_calendar_has_is_no_time() -> None:
    board = await board_with(17)
    for since in (1e18, -1.0, float("nan"), float("inf")):
        board.hear(17, Established(Session(1, "203.0.113.5:1", since)))
        await calm()
        assert board.report.links[0].tunnel.since is None
        after = Board(Clock())
        after.memory = board.remembered()
        after.slot_says(17, RUNNING)
        after.complete_now()
        assert [link.slot for link in after.report.links] == [17]


async def test_a_count_that_falls_within_a_session_never_makes_a_counter_fall() -> None:
    board = await board_with(17)
    for received in (1000, 10, 20):
        board.hear(17, listing(received))
    assert board.counters[17].received == 1010


async def test_closing_lets_everybody_go() -> None:
    board = await board_with(17)
    waiting = asyncio.create_task(board.wait(board.report.epoch, board.report.version, 60))
    await asyncio.sleep(0.05)
    board.close()
    await asyncio.wait_for(waiting, 0.5)


async def test_a_report_survives_its_way_over_the_wire() -> None:
    board = await board_with(2, 251)
    board.hear(2, Established(session()))
    board.hear(251, Refused(Refusal.EXPIRED, "203.0.113.5"))
    board.media_says(MediaState(connections=3, users=7, links=2, config="ab" * 32))
    await calm()
    assert LinkReport.model_validate_json(board.report.model_dump_json()) == board.report


def remembering(**changes: object) -> dict[str, object]:
    return {"17": Link(session=session(), flaps=1).remembered() | changes}


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"17": None},
        {"17": []},
        {"x": 1},
        remembering(flaps="many"),
        remembering(flaps=1e400),
        remembering(flaps=10**5000),
        remembering(lost=1e18, contested=float("nan")),
        remembering(lost={}, losses=["a", None, 10**400], fingerprint="f"),
        remembering(moves=[[], None, [1, 2], [10**400, {}, "\ud800"]], contested=NOW),
        remembering(session=[]),
        remembering(session={"client": 1, "peer": "x" * 9999, "since": 1e18}),
        remembering(session={"client": 1, "peer": "x" * 9999, "since": NOW, "version": "v" * 999, "fingerprint": 7}),
    ],
)
async def test_a_memory_that_makes_no_sense_is_no_harm(memory: dict[str, object]) -> None:
    board = Board(Clock())
    board.memory = memory
    board.slot_says(17, RUNNING)
    board.slot_says(18, RUNNING)
    board.complete_now()
    assert [link.slot for link in board.report.links] == [17, 18]
    assert {link.error for link in board.report.links} == {None}
    assert LinkReport.model_validate_json(board.report.model_dump_json()) == board.report
    board.hear(17, Established(session()))
    assert board.links[17].session == session(), "and it is read on"


async def test_a_restarted_agent_goes_on_where_the_former_one_ended() -> None:
    former = await board_with(17)
    for number in range(3):
        former.hear(17, Established(session(number, NOW + number)))
    after = Board(Clock())
    after.memory = former.remembered()
    after.slot_says(17, RUNNING)
    after.hear(17, listing(number=2, since=NOW + 2))
    await calm()
    assert after.report.links[0] == former.report.links[0].model_copy(update={"tunnel": after.report.links[0].tunnel})
    assert after.report.links[0].tunnel.flaps == 2
    assert after.report.links[0].tunnel.clientVersion == "2.4.12"


def test_bytes_grow_on_over_reconnections_and_restarts_of_openvpn() -> None:
    counters = Counters()
    for received, number, since in [(100, 0, 1), (250, 0, 1), (30, 1, 50), (40, 1, 50), (10, 0, 90), (15, 0, 90)]:
        counters.pass_on(Client(Session(number, "10.0.0.1:5", since), received, received * 2))
    assert (counters.received, counters.sent) == (250 + 40 + 15, 2 * (250 + 40 + 15))


async def test_changes_are_logged_once_and_noise_never(caplog: pytest.LogCaptureFixture) -> None:
    board = await board_with(17)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        board.hear(17, Established(session()))
        await calm()
        for _ in range(100):
            board.hear(17, Noise())
            board.hear(17, Refused(Refusal.NOT_PINNED, "198.51.100.9"))
            board.hear(17, listing(1))
        await calm()
        board.hear(17, Listing(()))
        await calm()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "link 17: Established"),
        ("WARNING", "link 17: Lost"),
    ]
    assert vars(caplog.records[0])["details"] == {
        "slot": 17,
        "state": "Running",
        "revision": "revision-1",
        "connected": "True",
        "reason": "Established",
        "detail": "",
        "peer": "203.0.113.5:40000",
        "flaps": 0,
    }


# --- metrics ---


def series(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


async def test_metrics_of_a_connected_link() -> None:
    board = await board_with(17)
    board.hear(17, Established(session()))
    board.hear(17, listing(5_000_000_001, 7))
    board.counters[17].rtt = 0.0123
    told = series(exposition(board, "ns", "demo"))
    labels = '{namespace="ns",mcs_instance="demo",link="link-017"}'
    assert told[f"mcs_link_up{labels}"] == 1
    assert told[f"mcs_link_received_bytes_total{labels}"] == 5_000_000_001
    assert told[f"mcs_link_rtt_seconds{labels}"] == 0.0123
    assert told[f"mcs_link_established_timestamp_seconds{labels}"] == NOW


@pytest.mark.parametrize(
    ("state", "running", "quarantined"),
    [
        (SlotState.RUNNING, 1, 0),
        (SlotState.QUARANTINED, 0, 1),
        (SlotState.STARTING, 0, 0),
        (SlotState.STOPPING, 0, 0),
        (SlotState.IDLE, 0, 0),
    ],
)
async def test_metrics_of_a_slot_say_whether_it_runs_and_whether_it_refuses(
    state: SlotState, running: int, quarantined: int
) -> None:
    board = await board_with()
    board.slot_says(17, Slot(state, "revision-1"))
    told = series(exposition(board, "ns", "demo"))
    labels = '{namespace="ns",mcs_instance="demo",link="link-017"}'
    assert told[f"mcs_slot_running{labels}"] == running
    assert told[f"mcs_slot_quarantined{labels}"] == quarantined


async def test_the_whole_text_of_one_link_and_an_appliance() -> None:
    board = await board_with(17)
    board.slot_says(2, Slot(SlotState.IDLE))
    board.hear(17, Established(session()))
    board.hear(17, listing(11, 22))
    board.hear(17, Noise())
    board.hear(17, Refused(Refusal.NOT_PINNED, "198.51.100.9"))
    board.counters[17].rtt = 0.25
    place = 'namespace="ns",mcs_instance="demo"'
    of_slots = {
        "mcs_link_up": ("gauge", 1),
        "mcs_link_flaps_total": ("counter", 0),
        "mcs_link_received_bytes_total": ("counter", 11),
        "mcs_link_sent_bytes_total": ("counter", 22),
        "mcs_link_rtt_seconds": ("gauge", 0.25),
        "mcs_link_established_timestamp_seconds": ("gauge", NOW),
        "mcs_link_refused_total": ("counter", 1),
        "mcs_link_noise_total": ("counter", 1),
        "mcs_slot_running": ("gauge", 1),
        "mcs_slot_quarantined": ("gauge", 0),
    }
    wanted = {f'{name}{{{place},link="link-017"}}': float(value) for name, (_, value) in of_slots.items()}
    silent = {f"mcs_media_up{{{place}}}": 0.0}
    answering = {f"mcs_media_up{{{place}}}": 1.0, f"mcs_media_connections{{{place}}}": 3.0}
    assert series(exposition(board, "ns", "demo")) == wanted | silent
    board.media_says(MediaState(connections=3, draining=True))
    text = exposition(board, "ns", "demo")
    assert series(text) == wanted | answering | {f"mcs_media_draining{{{place}}}": 1.0}
    kinds = {name: kind for name, (kind, _) in of_slots.items()} | {"mcs_link_source_dropped_total": "counter"}
    kinds |= {f"mcs_media_{name}": "gauge" for name in ("up", "connections", "draining")}
    assert {words[2]: words[3] for line in text.splitlines() if (words := line.split())[1] == "TYPE"} == kinds
    board.close()


@pytest.mark.parametrize(
    ("slot", "told"),
    [
        (Slot(SlotState.IDLE), False),
        (Slot(SlotState.IDLE, "revision-1"), True),
        (Slot(SlotState.IDLE, None, "damaged"), True),
        (Slot(SlotState.STARTING), True),
    ],
)
async def test_metrics_of_a_free_slot_are_not_told(slot: Slot, told: bool) -> None:
    board = await board_with()
    board.slot_says(17, slot)
    assert ("link-017" in exposition(board, "ns", "demo")) is told


@pytest.mark.parametrize("count", [0, 1, 250])
async def test_each_metric_has_at_most_one_series_per_link(count: int) -> None:
    board = await board_with(*range(2, 2 + count))
    text = exposition(board, "ns", "demo")
    names = [name.partition("{")[0] for name in series(text)]
    assert all(names.count(name) <= max(count, 1) for name in names)
    assert names.count("mcs_link_up") == count
    assert text.count("# TYPE mcs_link_up gauge\n") == 1


async def test_a_label_cannot_break_out_of_its_quotes() -> None:
    text = exposition(await board_with(2), "ns", 'x"} 1\nmcs_fake{a="\\')
    assert "\nmcs_fake" not in text
    assert 'mcs_instance="x\\"} 1\\nmcs_fake{a=\\"\\\\"' in text


def test_an_untouched_link_is_not_worth_remembering() -> None:
    board = Board(Clock())
    board.links[2] = Link(Slot(SlotState.IDLE))
    assert board.remembered() == {}


def versions(story: dict[float, str]) -> list[float]:
    """When a version came, where at these times a link changed, or that was done with the board."""
    came: list[float] = []

    class Told(Board):
        def _wake(self) -> None:
            super()._wake()
            if not self.closed:
                came.append(round(asyncio.get_running_loop().time(), 3))

    async def play() -> None:
        loop, board = asyncio.get_running_loop(), Told(Clock())
        for number, (at, deed) in enumerate(story.items(), start=2):
            if deed == "change":
                loop.call_at(at, board.slot_says, number, RUNNING)
            else:
                loop.call_at(at, getattr(board, deed))
        await asyncio.sleep(2)
        board.close()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(play())
    return came


def test_changes_are_gathered_for_a_fifth_of_a_second_from_the_first_of_them() -> None:
    assert versions({0.1: "change", 0.15: "change", 0.2: "change", 0.32: "change"}) == [0.3, 0.52]


def test_what_was_told_at_once_is_not_told_again_when_its_time_has_come() -> None:
    assert versions({0.1: "change", 0.2: "complete_now", 0.25: "change"}) == [0.2, 0.45]


def test_after_the_end_nothing_is_gathered_any_more() -> None:
    """Not even a timer is set: there may be no event loop any more."""
    board = Board(Clock())
    board.close()
    board.slot_says(17, RUNNING)
    assert board.links[17].slot == RUNNING


def test_whether_anybody_talks_is_news_and_how_many_is_none() -> None:
    async def story() -> list[int]:
        board, found = await board_with(), []
        for connections in (0, 1, 2, 250, 1, 0):
            board.media_says(MediaState(connections=connections))
            await calm()
            found.append(board.report.version)
        return found

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        first, *others = runner.run(story())
    assert [version - first for version in others] == [1, 1, 1, 1, 2]


async def test_of_a_link_of_which_only_its_slot_has_spoken_there_is_nothing_to_remember() -> None:
    board = Board(Clock())
    board.slot_says(17, RUNNING)
    assert board.remembered() == {}
    board.hear(17, Established(session()))
    assert set(board.remembered()) == {"17"}
    board.close()
