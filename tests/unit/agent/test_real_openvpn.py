"""The agent beside a real OpenVPN server, with real clients, in network namespaces of its own (needs root)."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mcs_operator.agent.agent import Watch
from mcs_operator.agent.board import Board
from mcs_operator.contract.linkstate import TunnelReason, TunnelState, TunnelStatus
from mcs_operator.pki.inspect import fingerprint
from support.cluster import MissingError
from support.levels import left_out_if_missing
from unit.agent.openvpn_lab import Lab, why_not


@pytest.fixture
def lab() -> Iterator[Lab]:
    with left_out_if_missing():
        if problem := why_not():
            raise MissingError(problem)
    # Not tmp_path: a socket's path has room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="lab"))
    try:
        with Lab(folder) as made:
            yield made
    finally:
        shutil.rmtree(folder)


def supervise(lab: Lab, revision: str) -> None:
    """Say what the supervisor would say: another revision here is another process."""
    draft = lab.link / "state.new"
    pid = int(revision.removeprefix("revision-"))
    draft.write_text(json.dumps({"revision": revision, "pid": pid, "state": "Running", "error": None}))
    draft.replace(lab.link / "state.json")


@asynccontextmanager
async def watching(lab: Lab) -> AsyncIterator[Board]:
    board = Board()
    task = asyncio.create_task(Watch(board, lab.folder).run())
    try:
        yield board
    finally:
        board.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(board: Board, wanted: Callable[[TunnelState], bool], seconds: float) -> TunnelState:
    """The first reported tunnel that is as wanted; the test fails if it takes longer."""
    end = time.monotonic() + seconds
    while True:
        tunnel = board.report.links[0].tunnel if board.report.links else TunnelState()
        if wanted(tunnel):
            return tunnel
        assert time.monotonic() < end, f"after {seconds} s still {tunnel}"
        await asyncio.sleep(0.02)


def is_up(tunnel: TunnelState) -> bool:
    return tunnel.status is TunnelStatus.TRUE


async def test_a_tunnel_comes_survives_strangers_and_a_planned_restart_and_a_crash_is_a_flap(lab: Lab) -> None:
    lab.start_server()
    supervise(lab, "revision-1")
    async with watching(lab) as board:
        await until(board, lambda tunnel: tunnel.reason is TunnelReason.NEVER_CONNECTED, 20)

        lab.start_client("b", "unpinned")
        refused = await until(board, lambda tunnel: tunnel.reason is TunnelReason.AUTHENTICATION_FAILED, 20)
        assert "10.77.0.12" in refused.message

        lab.start_client("a", "pinned")
        up = await until(board, is_up, 20)
        assert (up.reason, up.flaps, up.clientVersion) == (TunnelReason.ESTABLISHED, 0, "2.6.14")
        expected = fingerprint(lab.keys.clients["pinned"].cert_pem).replace(":", "").lower()
        assert up.fingerprint == expected
        version = board.report.version
        await asyncio.sleep(2)
        assert board.report.version == version, "the refused one goes on trying, which is no news"

        lab.restart_server()
        supervise(lab, "revision-2")
        again = await until(board, lambda tunnel: tunnel.since != up.since, 20)
        assert is_up(again), "a planned restart is too short to be reported as down"
        await asyncio.sleep(3.2)
        assert board.report.links[0].tunnel.flaps == 0

        lab.kill_server()
        lost = await until(board, lambda tunnel: tunnel.reason is TunnelReason.LOST, 20)
        assert lost.flaps == 1


async def test_a_tvox_that_dials_in_before_the_agent_looks_is_reported_with_its_version_at_once(lab: Lab) -> None:
    lab.start_server()
    supervise(lab, "revision-1")
    lab.start_client("a", "pinned")
    await asyncio.sleep(3)  # as on a slot that was enabled: its OpenVPN is up to a second older than the agent's look
    async with watching(lab) as board:
        up = await until(board, is_up, 20)
        assert (up.reason, up.clientVersion) == (TunnelReason.ESTABLISHED, "2.6.14")
