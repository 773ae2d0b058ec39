"""The agent as a whole: whom it follows, when it looks, and how its parts begin and end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcs_operator.agent import agent, management, server
from mcs_operator.agent.agent import Config, Watch
from mcs_operator.agent.board import Board
from mcs_operator.agent.inputs import Gone
from mcs_operator.agent.lines import Heard, Noise
from mcs_operator.pki.mint import mint_agent, mint_ca
from support.ports import free_port
from support.virtual_time import VirtualTime


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, now = tmp_path_factory.mktemp("credentials"), datetime.now(UTC)
    pair = mint_agent(mint_ca("demo", now), ["localhost"], now)
    for name, content in {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem, "token": "x"}.items():
        (folder / name).write_text(content)
    return folder


@pytest.fixture
def config(tmp_path: Path, credentials: Path) -> Config:
    return Config(
        port=free_port(),
        contract_url="http://127.0.0.1:1",
        cidr="198.18.254.0/24",
        instance="demo",
        namespace="ns",
        run=tmp_path,
        credentials=credentials,
        host="127.0.0.1",
    )


def slot(run: Path, number: int, state: str, revision: str = "r") -> None:
    folder = run / f"link-{number:03d}"
    folder.mkdir(exist_ok=True)
    (folder / "new").write_text(json.dumps({"state": state, "revision": revision}))
    (folder / "new").replace(folder / "state.json")


def test_the_slots_are_looked_at_every_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[float, str]] = []

    async def story() -> None:
        loop, board = asyncio.get_running_loop(), Board()
        for name in ("looked_at_all", "tick"):
            monkeypatch.setattr(board, name, lambda name=name: looked.append((loop.time(), name)))
        async with asyncio.timeout(1.5):
            await Watch(board, tmp_path).run()

    with asyncio.Runner(loop_factory=VirtualTime) as runner, pytest.raises(TimeoutError):
        runner.run(story())
    assert looked == [(at, name) for at in (0, 1) for name in ("looked_at_all", "tick")]


def test_openvpn_is_read_of_the_slots_that_run_it_as_long_as_they_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[float, str, str]] = []

    async def follow(socket: Path, hear: Callable[[Heard], None]) -> None:
        def note(what: str) -> None:
            events.append((asyncio.get_running_loop().time(), what, str(socket.relative_to(tmp_path))))

        note("begins")
        task = asyncio.current_task()
        assert task is not None and task.get_name() == socket.parent.name
        try:
            await asyncio.Event().wait()
        finally:
            note("ends")

    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1.5, slot, tmp_path, 3, "Idle")
        async with asyncio.timeout(3.5):
            await Watch(Board(), tmp_path).run()

    monkeypatch.setattr(management, "follow", follow)
    for number, state in ((2, "Running"), (3, "Quarantined"), (4, "Starting"), (5, "Stopping"), (6, "Idle")):
        slot(tmp_path, number, state)
    with asyncio.Runner(loop_factory=VirtualTime) as runner, pytest.raises(TimeoutError):
        runner.run(story())
    sockets = [f"link-00{number}/openvpn.sock" for number in (2, 3, 4, 5)]
    assert events[:4] == [(0, "begins", socket) for socket in sockets]
    assert events[4:] == [(2, "ends", sockets[1]), *((3.5, "ends", sockets[n]) for n in (0, 2, 3))]


async def test_an_end_is_judged_by_the_newest_word_of_the_supervisor_and_noise_makes_nobody_look(
    tmp_path: Path,
) -> None:
    board = Board()
    watch = Watch(board, tmp_path)
    slot(tmp_path, 17, "Running", "revision-1")
    for number, told in watch._slots.changed():
        board.slot_says(number, told)
    slot(tmp_path, 17, "Running", "revision-2")
    watch._hear(17, Noise())
    assert board.links[17].slot.revision == "revision-1"
    assert board.counters[17].noise == 1
    watch._hear(17, Gone())
    assert board.links[17].slot.revision == "revision-2"
    board.close()


def test_the_first_report_waits_three_seconds_for_slow_ones() -> None:
    async def story() -> None:
        board = Board()
        last = asyncio.create_task(agent._complete_at_last(board))
        await board.complete.wait()
        assert asyncio.get_running_loop().time() == 3
        await asyncio.sleep(9)
        assert not last.done(), "it runs as long as the agent"
        last.cancel()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())


async def test_each_part_runs_under_its_name_until_the_agent_ends_and_leaves_its_memory(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def remembered(_: Board) -> dict[str, object]:
        return {"17": {}}

    monkeypatch.setattr(Board, "remembered", remembered)
    stop = asyncio.Event()
    before = asyncio.all_tasks()
    running = asyncio.create_task(agent.run(config, stop))
    await asyncio.sleep(0.1)
    parts = asyncio.all_tasks() - before - {running}
    assert {"slots", "media", "memory", "rtt", "credentials", "complete", "stop"} <= {one.get_name() for one in parts}
    stop.set()
    await asyncio.wait_for(running, 5)
    assert all(one.done() for one in parts)
    assert json.loads((config.run / "agent" / "links.json").read_text()) == {"17": {}}
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", config.port)


async def test_a_part_that_fails_ends_the_agent_with_its_error(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(server, "follow", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        await asyncio.wait_for(agent.run(config, asyncio.Event()), 5)


async def test_open_connections_have_less_than_the_second_in_which_the_agent_ends(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[object, ...]] = []

    class Listener:
        def __init__(self, _: object, port: int, limits: object, __: object, host: str, shutdown: float = 60) -> None:
            given.append((port, limits, host))
            assert shutdown < 0.5

        async def start(self) -> None:
            raise OSError("the port is taken")

        async def stop(self) -> None:
            given.append(("stopped",))

    monkeypatch.setattr(agent, "Listener", Listener)
    with pytest.raises(OSError, match="the port is taken"):
        await agent.run(config, asyncio.Event())
    assert given == [(config.port, server.LIMITS, "127.0.0.1"), ("stopped",)]
