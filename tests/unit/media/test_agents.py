"""The operator's end of a link agent: what comes over the wire is taken whole, or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, ServerDisconnectedError, web
from pydantic import ValidationError

from mcs_operator.contract.linkstate import DRAIN_UNTIL, LinkReport, MediaState
from mcs_operator.contract.lookup import MAX_NAMES, UNAVAILABLE, Answer
from mcs_operator.media import agents
from mcs_operator.media.agents import GRACE, POLL_SECONDS, UNREACHABLE_AFTER, Agents, Endpoint, _whole
from mcs_operator.pki import mint_ca
from mcs_operator.timestamps import rfc3339
from support.virtual_time import VirtualTime


async def answer_in(pieces: list[bytes]) -> bytes:
    """What `_whole` makes of an answer that comes in these pieces, a moment apart."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = sum(map(len, pieces))
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.02)
        return response

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
            return await _whole(response)
    finally:
        await runner.cleanup()


async def test_an_answer_in_two_pieces_is_taken_whole() -> None:
    assert await answer_in([b"a" * 30_000, b"b" * 30_000]) == b"a" * 30_000 + b"b" * 30_000


async def test_an_endless_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        await answer_in([b"x" * 2**20] * 5)


async def test_a_silent_agent_is_unreachable_only_after_a_while(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(agents, "UNREACHABLE_AFTER", 0.5)
    woken = asyncio.Event()
    poll = Agents(wake=lambda _: woken.set())
    assert not poll.may_answer("demo"), "nobody was asked"
    ca = mint_ca("mcs", datetime.now(UTC)).cert_pem
    poll.follow("demo", Endpoint("uid", "127.0.0.1", unused_tcp_port, "agent", ca, "token"))
    try:
        assert poll.may_answer("demo") and poll.report("demo") is None
        await asyncio.wait_for(woken.wait(), 5)
        assert not poll.may_answer("demo")
    finally:
        await poll.close()


# --- the poll, in virtual time ---


CA = mint_ca("mcs", datetime.now(UTC)).cert_pem
ENDPOINT = Endpoint("uid", "127.0.0.1", 1, "agent", CA, "token")


class Polled:
    """An agent that answers as the test says: each answer after so many seconds, an exception raised."""

    def __init__(self, *answers: tuple[float, LinkReport | Exception]) -> None:
        self.answers = list(answers)
        self.asked: list[float] = []
        self.known: list[LinkReport | None] = []
        self.woken: list[tuple[float, str]] = []
        self.agents = Agents(wake=self._wake)

    def _wake(self, _: str) -> None:
        report = self.agents.report("demo")
        self.woken.append((asyncio.get_running_loop().time(), report.epoch if report else "unreachable"))

    async def ask(self, session: ClientSession, _: object, known: LinkReport | None) -> LinkReport:
        self.asked.append(asyncio.get_running_loop().time())
        self.known.append(known)
        seconds, answer = self.answers.pop(0) if self.answers else (25.0, LinkReport(epoch="last", version=1))
        async with asyncio.timeout(session.timeout.total):
            await asyncio.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def during(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Polled:
        monkeypatch.setattr(agents, "_ask", self.ask)

        async def story() -> None:
            self.agents.follow("demo", ENDPOINT)
            await asyncio.sleep(seconds)
            await self.agents.close()

        with asyncio.Runner(loop_factory=VirtualTime) as runner:
            runner.run(story())
        return self


FIRST, SECOND = LinkReport(epoch="first", version=1), LinkReport(epoch="second", version=1)
GONE = ServerDisconnectedError()


def test_an_agent_that_crashes_in_a_quiet_poll_turns_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The poll itself had lasted for 20 s: what counts is how long it has failed."""
    crashes = Polled((0, FIRST), (20, GONE), *[(0, ConnectionRefusedError())] * 5, (0, SECOND))
    assert [epoch for _, epoch in crashes.during(monkeypatch, 100).woken] == ["first", "second", "last"]


@pytest.mark.parametrize(("fails_for", "told"), [(GRACE - 2, 0), (GRACE + 2, 1), (3600, 1)])
def test_after_thirty_seconds_it_is_unreachable_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch, fails_for: float, told: int
) -> None:
    silent = Polled((0, FIRST), (25, GONE), *[(0, ConnectionRefusedError())] * int(fails_for), (0, SECOND))
    polled = silent.during(monkeypatch, fails_for + 100)
    assert [epoch for _, epoch in polled.woken].count("unreachable") == told
    assert polled.woken[-1][1] == "last"


def test_an_agent_that_hangs_has_confirmed_nothing_all_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that was cut: nothing comes, not even that nobody is there."""
    polled = Polled((0, FIRST), *[(3600, FIRST)] * 100).during(monkeypatch, 600)
    (_, first), (at, second) = polled.woken
    assert (first, second) == ("first", "unreachable")
    assert GRACE <= at <= 35


def test_a_network_that_was_cut_for_a_moment_turns_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a quiet poll was lost; the agent that is asked again confirms at once what it said."""
    polled = Polled((0, FIRST), (3600, FIRST), (0, FIRST)).during(monkeypatch, 50)
    assert [epoch for _, epoch in polled.woken] == ["first", "first"]
    assert polled.known == [None, FIRST, None, FIRST]


@pytest.mark.parametrize("late", [0, 1, 2.9])
def test_a_quiet_poll_that_is_answered_late_turns_nothing_over(monkeypatch: pytest.MonkeyPatch, late: float) -> None:
    polled = Polled((0, FIRST), *[(POLL_SECONDS + late, FIRST)] * 10).during(monkeypatch, 250)
    assert [epoch for _, epoch in polled.woken] == ["first"]


@pytest.mark.parametrize(("pod", "is_kept"), [("uid", True), ("another", False)])
def test_another_token_of_the_same_pod_makes_nothing_unknown(
    monkeypatch: pytest.MonkeyPatch, pod: str, is_kept: bool
) -> None:
    """It takes the kubelet a while to bring the token there."""
    polled = Polled((0, FIRST), (25, FIRST), *[(0, ValueError("401"))] * 100)

    async def story() -> None:
        polled.agents.follow("demo", ENDPOINT)
        await asyncio.sleep(1)
        polled.agents.follow("demo", replace(ENDPOINT, token="new", pod_uid=pod))
        await asyncio.sleep(5)
        assert (polled.agents.report("demo") is not None) is is_kept
        assert polled.agents.confirmed("demo") is None
        await polled.agents.close()

    monkeypatch.setattr(agents, "_ask", polled.ask)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())


def test_an_agent_that_has_never_answered_is_unreachable_after_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    polled = Polled(*[(0, ConnectionRefusedError())] * 100).during(monkeypatch, 60)
    assert [(UNREACHABLE_AFTER <= at <= UNREACHABLE_AFTER + 2, epoch) for at, epoch in polled.woken] == [
        (True, "unreachable")
    ]


def test_what_an_agent_said_before_it_fell_silent_is_no_word_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an old number of connections nobody's pod is replaced, though statuses stay as they are."""
    polled = Polled((0, FIRST), *[(0, GONE)] * 100)
    seen: list[tuple[bool, bool]] = []

    async def story() -> None:
        polled.agents.follow("demo", ENDPOINT)
        await asyncio.sleep(0.05)
        seen.append((polled.agents.report("demo") is not None, polled.agents.confirmed("demo") is not None))
        await asyncio.sleep(5)
        seen.append((polled.agents.report("demo") is not None, polled.agents.confirmed("demo") is not None))
        await polled.agents.close()

    monkeypatch.setattr(agents, "_ask", polled.ask)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())
    assert seen == [(True, True), (True, False)]


# --- by when a drain is over ---


DRAINS = LinkReport(epoch="e", version=1, media=MediaState(draining=True, connections=1))
IN_FIVE, IN_TEN = (datetime(2026, 3, 1, 12, minute, tzinfo=UTC) for minute in (5, 10))


@pytest.mark.parametrize(
    ("answer", "wanted", "fails", "told"),
    [
        pytest.param(DRAINS, [IN_FIVE, IN_FIVE], 0, [IN_FIVE], id="once"),
        pytest.param(DRAINS, [IN_FIVE, IN_TEN, IN_TEN, IN_FIVE], 0, [IN_FIVE, IN_TEN, IN_FIVE], id="each other end"),
        pytest.param(DRAINS, [IN_FIVE, IN_FIVE, IN_FIVE], 1, [IN_FIVE, IN_FIVE], id="again where it was not taken"),
        pytest.param(DRAINS, [IN_FIVE, IN_FIVE.replace(microsecond=9)], 0, [IN_FIVE], id="whole seconds"),
        pytest.param(LinkReport(epoch="e", version=1, media=MediaState()), [IN_FIVE], 0, [], id="takes calls"),
        pytest.param(LinkReport(epoch="e", version=1), [IN_FIVE], 0, [], id="the appliance is silent"),
        pytest.param(ConnectionRefusedError(), [IN_FIVE], 0, [], id="the agent is silent"),
    ],
)
def test_an_appliance_that_drains_is_told_each_end_once(
    monkeypatch: pytest.MonkeyPatch,
    answer: LinkReport | Exception,
    wanted: list[datetime],
    fails: int,
    told: list[datetime],
) -> None:
    polled, said, left = Polled((0, answer)), list[str](), fails

    @asynccontextmanager
    async def request(*what: Any, headers: dict[str, str], **_: Any) -> AsyncIterator[Any]:
        nonlocal left
        assert what[1:] == ("POST", "/v1/drain")
        said.append(headers[DRAIN_UNTIL])
        if left:
            left -= 1
            raise ConnectionRefusedError
        yield SimpleNamespace(raise_for_status=lambda: None)

    async def story() -> None:
        polled.agents.follow("demo", ENDPOINT)
        await asyncio.sleep(0.05)
        for until in wanted:
            await polled.agents.drains_until("demo", until)
        await polled.agents.close()

    monkeypatch.setattr(agents, "_ask", polled.ask)
    monkeypatch.setattr(agents, "_request", request)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())
    assert said == [rfc3339(until) for until in told]


# --- since when nobody talks ---


def talking(connections: int | None) -> LinkReport:
    """A report of so many connections; None: the appliance does not answer the agent."""
    media = None if connections is None else MediaState(connections=connections)
    return LinkReport(epoch="e", version=1, media=media)


def idle_after(monkeypatch: pytest.MonkeyPatch, seconds: float, *answers: tuple[float, LinkReport | Exception]) -> Any:
    """For how long nobody has talked, in whole seconds, as it is known after so many; None: somebody may."""
    polled = Polled(*answers)
    now, found = datetime.now(UTC), []

    async def story() -> None:
        polled.agents.follow("demo", ENDPOINT)
        await asyncio.sleep(seconds)
        found.append(polled.agents.idle_since("demo", now))
        await polled.agents.close()

    monkeypatch.setattr(agents, "_ask", polled.ask)
    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())
    return round((now - found[0]).total_seconds()) if found[0] else None


QUIET, BUSY, DUMB = talking(0), talking(3), talking(None)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([(0, QUIET), (25, QUIET), (25, QUIET), (25, QUIET)], 60, id="since the first that said so"),
        pytest.param([(0, BUSY), (20, QUIET), (25, QUIET), (25, QUIET)], 40, id="since somebody hung up"),
        pytest.param([(0, QUIET), (20, BUSY), (25, BUSY), (25, BUSY)], None, id="not while somebody talks"),
        pytest.param([(0, QUIET), (20, BUSY), (20, QUIET), (25, QUIET)], 20, id="anew after each call"),
        pytest.param([(0, QUIET), (20, DUMB), (25, DUMB), (25, DUMB)], None, id="not of an appliance that is silent"),
        pytest.param([(0, QUIET), (20, GONE), (0, QUIET), (25, QUIET)], 39, id="anew after a gap"),
        pytest.param([(0, QUIET), (90, QUIET)], None, id="not of an agent that hangs"),
        pytest.param([(0, GONE), (0, GONE), *[(0, GONE)] * 90], None, id="not of one that never answered"),
    ],
)
def test_since_when_nobody_talks(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[float, LinkReport | Exception]], expected: int | None
) -> None:
    assert idle_after(monkeypatch, 60, *answers) == expected


async def test_of_a_namespace_without_a_pod_nobody_knows_who_talks() -> None:
    assert Agents(wake=lambda _: None).idle_since("demo", datetime.now(UTC)) is None


ODD_ERRORS = [
    ClientPayloadError("not completed"),
    TimeoutError(),
    ValueError("the agent's answer is longer than 2097152 bytes"),
    RecursionError(),
    KeyError("a defect of ours"),
]


@pytest.mark.parametrize("error", ODD_ERRORS, ids=lambda error: type(error).__name__)
def test_no_error_ends_the_poll(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    polled = Polled((0, FIRST), (0, error), (0, SECOND)).during(monkeypatch, 40)
    assert [epoch for _, epoch in polled.woken] == ["first", "second", "last"]


def test_an_agent_that_always_has_news_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    news = [(0.0, LinkReport(epoch="e", version=number)) for number in range(1, 1000)]
    assert len(Polled(*news).during(monkeypatch, 10).asked) <= 101


@pytest.mark.parametrize(
    ("ca", "is_taken"),
    [
        ("-----BEGIN CERTIFICATE-----\ngarbage\n-----END CERTIFICATE-----\n", False),
        ("", False),
        ("# CA di Città\n" + CA, True),
        (CA + "# \N{SNOWMAN}\n" + CA, True),
    ],
    ids=["not a certificate", "empty", "with a comment", "two, with a comment between"],
)
async def test_a_ca_that_ssl_refuses_ends_no_poll(ca: str, is_taken: bool, unused_tcp_port: int) -> None:
    if is_taken:
        assert len(agents._context(replace(ENDPOINT, ca=ca)).get_ca_certs()) == 1
    poll = Agents(wake=lambda _: None)
    poll.follow("demo", replace(ENDPOINT, ca=ca, port=unused_tcp_port))
    try:
        await asyncio.sleep(0.1)
        assert [task.get_name() for task in asyncio.all_tasks() if "agent of demo" in task.get_name()]
        await poll.drain("demo", True)
        assert set((await poll.resolve("demo", ["a.example.com"])).values()) == {UNAVAILABLE}
        assert not await poll.exit_at_once("demo", [17], 60), "a slot that was not told would keep all else waiting"
    finally:
        await poll.close()


@pytest.mark.parametrize("body", ["[" + "1," * 900_000 + "1]", "[" + "{}," * 600_000 + "{}]", "[" * 1_900_000])
def test_two_megabytes_of_wrong_links_cost_a_moment(body: str) -> None:
    """All the errors of them took ten seconds of everybody's, and a gigabyte."""
    begun = time.process_time()
    with pytest.raises(ValidationError) as told:
        LinkReport.model_validate_json('{"epoch": "e", "version": 1, "links": ' + body)
    assert time.process_time() - begun < 1
    assert agents._told(told.value) == "its answer is not in the form of a LinkReport"


async def test_more_names_than_an_agent_takes_are_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of portals come beside those of 250 links, and the agent of a pod of before them takes 251."""
    asked: list[int] = []

    async def one(_: object, namespace: str, names: list[str]) -> dict[str, Answer]:
        asked.append(len(names))
        return dict.fromkeys(names, UNAVAILABLE)

    monkeypatch.setattr(Agents, "_resolve", one)
    names = [f"{number}.example.com" for number in range(2 * MAX_NAMES + 1)]
    assert set(await Agents(wake=lambda _: None).resolve("demo", names)) == set(names)
    assert asked == [MAX_NAMES, MAX_NAMES, 1]
