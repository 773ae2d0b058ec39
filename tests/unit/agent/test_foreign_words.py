"""What the agent takes over from slots, OpenVPN and the appliance: total functions with bounds, tried with anything.

``MCS_FUZZ`` is the number of inputs (1,000 unless it is set): each is tried at every door.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcs_operator.agent import foreign, media, slots, usage
from mcs_operator.agent.board import Board
from mcs_operator.agent.inputs import Slot
from mcs_operator.agent.lines import Heard, Listing, Reader, Stir
from mcs_operator.agent.metrics import exposition
from mcs_operator.agent.slots import Slots
from mcs_operator.contract.linkstate import MAX_MESSAGE, LinkReport, MediaState, SlotState

COUNT = int(os.environ.get("MCS_FUZZ", "1000"))
SEED = int(os.environ.get("MCS_FUZZ_SEED", "13"))
NOW = 1_800_000_000.0

WORDS = [
    "", "0", "-1", "17", "1e999", "NaN", "999999999999999999", "9" * 400, "null", "true", "[", "{", "]" * 9, "\\ud800",
    "\x00", "\u202e", "\t", "\r", ",", ":", "=", "END", "TITLE", "HEADER", "CLIENT_LIST", "203.0.113.5", "2001:db8::1",
    "fe80::1%" + "z" * 90, "203.0.113.5:1", "[::1]:99999999", "Running", "Idle", "Quarantined", "x" * 600, "é", "٣",
    "\ud800",
]  # fmt: skip
LINES = [
    ">CLIENT:ESTABLISHED,{}", ">CLIENT:ENV,trusted_ip={}", ">CLIENT:ENV,trusted_ip6={}", ">CLIENT:ENV,trusted_port={}",
    ">CLIENT:ENV,time_unix={}", ">CLIENT:ENV,IV_VER={}", ">CLIENT:ENV,tls_digest_sha256_0={}", ">CLIENT:ENV,END",
    ">LOG:{},N,{}:5 VERIFY ERROR: depth=0, error=certificate has expired: {}", ">LOG:1,,{}", ">HOLD:{}", "{}",
    ">LOG:1,,x/{}:5 SIGTERM[soft,{}] received, client-instance exiting",
    ("HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received"
    "\tBytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher"),
    "CLIENT_LIST\t{}\t{}\t{}\t\t{}\t{}\tx\t{}\tUNDEF\t{}\t{}\tc", "TITLE\t{}", "END", "HEADER\tCLIENT_LIST\t{}\t{}",
]  # fmt: skip


def value(chance: random.Random, depth: int = 0) -> object:
    kind = chance.randrange(8 if depth < 3 else 6)
    match kind:
        case 0 | 1 | 2:
            return chance.choice(WORDS)
        case 3:
            return chance.choice([0, -1, 1, 2**31, 2**63, 10**400, 999999999999999999, 1_800_000_000])
        case 4:
            return chance.choice([0.5, 1e308, float("inf"), float("nan"), -0.0])
        case 5:
            return chance.choice([None, True, False])
        case 6:
            return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
        case _:
            return {chance.choice(WORDS)[:20]: value(chance, depth + 1) for _ in range(chance.randrange(4))}


OF_THE_APPLIANCE = (
    "connections",
    "draining",
    "config",
    "users",
    "links",
    "error",
    "refused",
    "notTaken",
    "outOfService",
    "contract",
    "portals",
    "erased",
    "acmeThumbprint",
    "http01Solver",
)


def body(chance: random.Random, names: tuple[str, ...]) -> bytes:
    """A JSON object with these names, or what is left of one."""
    said = {name: value(chance) for name in names if chance.random() < 0.8}
    if "refused" in said and chance.random() < 0.7:
        said["refused"] = [{"domain": chance.choice(WORDS), "problem": chance.choice(WORDS)} for _ in range(3)]
        said["connections"] = 3  # else nothing of the answer is taken
    if "outOfService" in said and chance.random() < 0.7:
        said["outOfService"] = {chance.choice(["17", "18", *WORDS]): value(chance) for _ in range(3)}
    if "portals" in said and chance.random() < 0.7:
        said["portals"] = {chance.choice(["acme", *WORDS]): {"logins": value(chance)} for _ in range(3)}
    if "communities" in said and chance.random() < 0.7:
        counts = {name: value(chance) for name in (*usage.OF_COMMUNITY, "x")}
        said["communities"] = {chance.choice(["acme", *WORDS]): chance.choice([counts, 7]) for _ in range(3)}
    if "state" in said and chance.random() < 0.7:
        said["state"] = chance.choice([state.value for state in SlotState])
    raw = json.dumps(said, ensure_ascii=chance.random() < 0.9).encode("utf-8", "surrogatepass")
    if chance.random() < 0.2:
        at = chance.randrange(len(raw))
        raw = raw[:at] + chance.randbytes(chance.randrange(4)) + raw[at + chance.randrange(3) :]
    return raw


def lines(chance: random.Random) -> Iterator[str]:
    for _ in range(chance.randrange(3, 14)):
        line = chance.choice(LINES)
        yield line.format(*(chance.choice(WORDS) for _ in range(line.count("{}"))))


async def test_nothing_that_a_slot_an_openvpn_or_the_appliance_says_ends_the_report_about_the_others(
    tmp_path: Path,
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - the same words every time
    board, folder = Board(lambda: NOW), tmp_path / "link-017"
    folder.mkdir()
    looks, reader = Slots(tmp_path), Reader()
    board.slot_says(17, Slot(SlotState.RUNNING, "r"))
    board.slot_says(18, Slot(SlotState.RUNNING, "of the other"))
    board.media_says(None)
    board.complete_now()
    for number in range(COUNT):
        raw = body(chance, ("state", "revision", "error", "pid"))
        (folder / "state.new").write_bytes(raw)
        (folder / "state.new").replace(folder / "state.json")
        for slot, said in looks.changed():
            board.slot_says(slot, said)
        for line in lines(chance):
            hear(board, reader.feed(line))
        board.media_says(media.parse(body(chance, OF_THE_APPLIANCE)))
        board.usage = usage.parse(body(chance, ("communities", "refused", "quota", "retention")))
        if number % 10 == 0:
            board = restarted(board, chance)
        board._publish()
        told(board.report, chance)
        assert "nan" not in exposition(board, "ns", "demo").casefold()
    board.close()


def hear(board: Board, heard: object) -> None:
    if heard is not None and not isinstance(heard, Stir):
        said: Heard = heard  # type: ignore[assignment]
        board.hear(17, said)
        if isinstance(said, Listing):
            board.connected()


def told(report: LinkReport, chance: random.Random) -> None:
    """The report gets through, is the same at the other end, and says of link 18 what is true."""
    assert LinkReport.model_validate_json(report.model_dump_json()) == report
    (other,) = (link for link in report.links if link.slot == 18)
    assert (other.state, other.revision, other.error) == (SlotState.RUNNING, "of the other", None), chance


def restarted(board: Board, chance: random.Random) -> Board:
    """The next process of the agent, which remembers; now and then somebody wrote into its memory."""
    memory = json.loads(json.dumps(board.remembered()))
    if "17" in memory and chance.random() < 0.5:
        memory["17"] |= {name: value(chance) for name in memory["17"] if chance.random() < 0.3}
    after = Board(lambda: NOW)
    after.memory = memory
    for number, link in board.links.items():
        after.slot_says(number, link.slot)
    after.media_says(None)
    after.complete_now()
    board.close()
    return after


@pytest.mark.parametrize("raw", [b"[" * 60_000, b'{"connections": ' + b"[" * 60_000, b"9" * 5000, b"\xff\xfe{", b""])
def test_a_body_that_no_parser_can_hold_is_none(raw: bytes) -> None:
    assert (foreign.parsed(raw), media.parse(raw), slots.parse(raw)) == (None, None, None)


def test_a_long_error_of_the_appliance_is_cut_and_its_connections_still_count() -> None:
    said = {"connections": 200, "error": "x" * 9000, "config": "y" * 9000, "users": 10**400, "links": "many"}
    media_state = media.parse(json.dumps(said).encode())
    assert media_state is not None
    assert (media_state.connections, media_state.error) == (200, "x" * MAX_MESSAGE)
    assert (media_state.users, media_state.links) == (foreign.MOST, 0)


@pytest.mark.parametrize("odd", ["\ud800.mcs.test", "a\nb.mcs.test", "\u202ea.mcs.test", "a\0"])
def test_a_refused_domain_that_no_report_could_carry_is_left_out_and_the_others_are_told(odd: str) -> None:
    refused = [{"domain": odd, "problem": "its key is too short"}, {"domain": "b.mcs.test", "problem": "\ud800"}]
    media_state = media.parse(json.dumps({"connections": 3, "refused": refused}).encode())
    assert media_state is not None
    report = LinkReport(epoch="e", version=1, media=media_state)
    assert LinkReport.model_validate_json(report.model_dump_json()) == report
    assert [told.domain for told in media_state.refused] == ["b.mcs.test"]


@pytest.mark.parametrize("connections", [-1, "3", None, 1.5, True, []])
def test_an_answer_that_names_no_number_of_connections_is_none(connections: object) -> None:
    """Not taken for zero: by it a restart would not wait for anybody."""
    assert media.parse(json.dumps({"connections": connections}).encode()) is None


def test_an_answer_with_nothing_in_it_is_that_of_an_appliance_at_rest() -> None:
    assert media.parse(b"{}") == MediaState()


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, 0.0), (0.5, 0.5), (253_402_300_799, 253_402_300_799.0), (253_402_300_800, None), (-0.5, None), (True, None)],
)
def test_a_time_is_one_from_1970_to_the_end_of_9999(value: object, told: float | None) -> None:
    assert foreign.seconds(value) == told


@pytest.mark.parametrize(("value", "told"), [(0, 0), (2**53, 2**53), (2**53 + 1, 2**53), (-1, None), (True, None)])
def test_a_count_is_one_from_0_and_cut_at_what_a_float_can_tell(value: object, told: int | None) -> None:
    assert foreign.whole(value) == told
