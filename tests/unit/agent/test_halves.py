"""The agent's halves put together: files of slots, sockets that speak as OpenVPN does, and an appliance go in; what
comes out is read, and decided on, as the operator does it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from mcs_operator.agent import media
from mcs_operator.agent.agent import Watch
from mcs_operator.agent.board import Board
from mcs_operator.contract.linkstate import LinkReport, MediaState, SlotState, TunnelReason, TunnelStatus
from mcs_operator.domain.pod.rollout import Step, decide_rollout
from mcs_operator.settings import ANNOTATION_DRAINING, ANNOTATION_RESTART
from support.ports import free_port
from support.templates import made_from, template_of
from support.worlds import NOW, given, instance

HEADER = (
    "TITLE\tOpenVPN 2.6.14\r\nHEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\t"
    "Bytes Received\tBytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel "
    "Cipher\r\n"
)
ROW = "CLIENT_LIST\tx\t203.0.113.5:40000\t198.18.254.17\t\t10\t20\tx\t{}\tUNDEF\t0\t0\tAES-256-GCM\r\n"


@dataclass
class Pod:
    """What surrounds the agent in a pod, each part of it in the hands of a test."""

    folder: Path
    board: Board
    said: dict[str, object] = field(default_factory=lambda: {"connections": 0})
    lists: dict[int, str] = field(default_factory=dict)

    def slot(self, number: int, raw: str | None = None, **state: object) -> None:
        folder = self.folder / f"link-{number:03d}"
        folder.mkdir(exist_ok=True)
        (folder / "new").write_text(raw if raw is not None else json.dumps({"state": "Running", "pid": 7} | state))
        (folder / "new").replace(folder / "state.json")

    async def told(self, what: Callable[[LinkReport], bool]) -> LinkReport:
        """The operator's end: asks as it does, over JSON, until the report says this."""
        known: LinkReport | None = None
        async with asyncio.timeout(20):
            while known is None or not what(known):
                epoch, version = (known.epoch, known.version) if known else (None, None)
                answer = await self.board.wait(epoch, version, 0.2)
                known = LinkReport.model_validate_json(answer.model_dump_json())
        return known


@asynccontextmanager
async def openvpn(pod: Pod, number: int) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line.startswith(b"status"):
                writer.write((HEADER + pod.lists.get(number, "") + "END\r\n").encode())
        writer.close()

    (pod.folder / f"link-{number:03d}").mkdir(exist_ok=True)
    server = await asyncio.start_unix_server(serve, pod.folder / f"link-{number:03d}" / "openvpn.sock")
    try:
        yield
    finally:
        server.close()


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Pod]:
    found, port = Pod(tmp_path, Board()), free_port()

    async def connections(_: web.Request) -> web.Response:
        return web.json_response(found.said)

    app = web.Application()
    app.router.add_get("/connections", connections)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with media.Media(f"http://127.0.0.1:{port}") as client:
        tasks = [
            asyncio.create_task(Watch(found.board, tmp_path).run()),
            asyncio.create_task(media.watch(client, found.board, every=0.1)),
        ]
        yield found
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not ended, "each runs for ever"
    found.board.close()
    await runner.cleanup()


def of(report: LinkReport, number: int) -> tuple[SlotState, str | None, TunnelStatus, TunnelReason]:
    (link,) = (link for link in report.links if link.slot == number)
    return link.state, link.revision, link.tunnel.status, link.tunnel.reason


async def test_a_tunnel_a_dead_one_and_a_calls_number_get_through_to_the_operator(around: Pod) -> None:
    around.slot(17, revision="r17")
    around.slot(18, revision="r18")
    around.lists[17] = ROW.format(1_800_000_000)
    around.said = {"connections": 3, "users": 7, "links": 2, "config": "ab" * 32}
    async with openvpn(around, 17), openvpn(around, 18):
        report = await around.told(lambda report: len(report.links) == 2 and report.media is not None)
        assert of(report, 17) == (SlotState.RUNNING, "r17", TunnelStatus.TRUE, TunnelReason.ESTABLISHED)
        assert of(report, 18) == (SlotState.RUNNING, "r18", TunnelStatus.FALSE, TunnelReason.NEVER_CONNECTED)
        assert report.media == MediaState(connections=3, users=7, links=2, config="ab" * 32)


@pytest.mark.parametrize(
    ("file", "listed"),
    [
        pytest.param("[" * 16_000, "", id="a state nested beyond measure"),
        pytest.param(None, ROW.format(999_999_999_999_999_999), id="a time that no calendar has"),
        pytest.param('{"state": "Running", "error": "\\ud800"}', "", id="half of a pair"),
        pytest.param(None, ROW.replace("203.0.113.5", "fe80::1%" + "z" * 300).format(1), id="a zone without end"),
    ],
)
async def test_one_slot_that_talks_nonsense_is_the_only_one_of_which_nothing_is_known(
    around: Pod, file: str | None, listed: str
) -> None:
    around.slot(17, file, revision="r17")
    around.slot(18, revision="r18")
    around.lists = {17: listed, 18: ROW.format(1_800_000_000)}
    async with openvpn(around, 17), openvpn(around, 18):
        report = await around.told(lambda report: len(report.links) == 2 and of(report, 18)[2] is TunnelStatus.TRUE)
        assert of(report, 17)[2] is not TunnelStatus.TRUE
        around.lists[18] = ""
        around.slot(18, revision="r18b", pid=8)
        await around.told(lambda report: of(report, 18)[1] == "r18b")


@pytest.mark.parametrize("error", ["", "x" * 600])
async def test_a_restart_that_was_asked_for_lets_calls_end_that_began_a_moment_ago(around: Pod, error: str) -> None:
    asked = instance()
    asked = asked.model_copy(
        update={"metadata": asked.metadata.model_copy(update={"annotations": {ANNOTATION_RESTART: NOW.isoformat()}})}
    )
    world, template = given(asked), template_of(asked)
    await around.told(lambda report: report.media is not None)
    around.said = {"connections": 200, "error": error}
    report = await around.told(lambda report: report.media is not None and report.media.connections == 200)
    running = made_from(asked, created=NOW - timedelta(hours=1), media_ready=False, media_runs=True)
    assert decide_rollout(world, asked, running, template, report).step is Step.START_DRAINING
    drains = replace(running, annotations={**template.annotations, ANNOTATION_DRAINING: NOW.isoformat()})
    around.said = {"connections": 0, "draining": True}
    report = await around.told(lambda report: report.media is not None and report.media.connections == 0)
    assert decide_rollout(world, asked, drains, template, report).step is Step.REPLACE
