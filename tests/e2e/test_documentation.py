"""The demo, as the documentation shows it, and then the commands of the documentation that need a node.

The pages are run in the world that the demo leaves, in the order of their names; those that take everything away last.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.api import ROOT, Api, install_crds
from support.browser import CHROMIUM, launched
from support.clip import played
from support.cluster import Node
from support.documented import NODE, blocks, pages_to_run, run
from support.transcript import masked, stages

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TAKES_ALL_AWAY = ["docs/uninstall.md", "charts/mcs-operator/README.md"]
PAGES = [*(page for page in pages_to_run(NODE) if page not in TAKES_ALL_AWAY), *TAKES_ALL_AWAY]
FOR_OUR_NODE, OURS = ("docs/first-instance.md",), "mcs-node"
SECOND_RUN_SECONDS = 120
PRINTED = ROOT / "build" / "demo.txt"
CLIP = ROOT / "build" / "demo" / "call.webm"


@pytest.fixture(scope="module")
def told(node: Node, server: Api) -> Iterator[str]:
    """What the demo printed. Afterwards all is gone again."""
    assert not server.kubectl("get", "mcsinstances,communities,tvoxlinks", "--all-namespaces", "--output=name").strip()
    try:
        printed = demo(node, "run")
        PRINTED.parent.mkdir(exist_ok=True)
        PRINTED.write_text(printed)
        yield printed
    finally:
        install_crds(server)  # a page has removed them, and the next module needs them
        demo(node, "clean")


def demo(node: Node, what: str) -> str:
    """`make demo` less what makes a node and its images."""
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "demo" / "demo", what],
        env=os.environ | {"KUBECONFIG": str(node.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_the_demo_tells_what_the_documentation_shows(told: str, node: Node) -> None:
    (shown,) = (block for block in blocks("docs/demo.md") if block.language == "text")
    expected = stages(masked("\n".join(shown.lines), ip="10.89.0.1", node="mcs-node"))
    seen = stages(masked(told, ip=node.ip, node=node.name))
    assert [stage.title for stage in seen] == [stage.title for stage in expected]
    for ours, theirs in zip(expected, seen, strict=True):
        assert theirs.lines == ours.lines, f"{ours.title}: docs/demo.md is to show what is in {PRINTED}"


@pytest.mark.skipif(CHROMIUM is None, reason="not installed: chromium")
async def test_the_clip_of_the_call_lasts_as_long_as_it_is_to(told: str) -> None:
    seconds, pictures = await played(CLIP)
    assert 19 < seconds < 30
    assert pictures > 1.5 * seconds, f"{pictures} in {seconds:.1f} s"


@pytest.mark.skipif(CHROMIUM is None, reason="not installed: chromium")
async def test_a_clip_is_no_shorter_where_pictures_of_the_call_take_a_second_and_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two cores that have other work. Needs no node."""
    monkeypatch.syspath_prepend(str(ROOT / "hack" / "demo"))
    from mcsdemo.clip import record

    async with launched() as browser:
        slow: Any = Slow(await browser.new_page())
        await record(browser, tmp_path / CLIP.name, slow, slow, length=6)
    seconds, pictures = await played(tmp_path / CLIP.name)
    assert seconds > 5.5
    assert pictures > 1.5 * seconds, f"{pictures} in {seconds:.1f} s"


class Slow:
    """Stands in for somebody who is in a call."""

    name = "Bruno"

    def __init__(self, page: Any) -> None:
        self.page, self.at_once = self, page

    async def screenshot(self, **how: Any) -> bytes:
        await asyncio.sleep(1.5)
        return await self.at_once.screenshot(**how)  # type: ignore[no-any-return]

    async def received(self) -> dict[str, dict[str, int]]:
        return {kind: {"packets": 0, "lost": 0, "freezes": 0} for kind in ("audio", "video")}


@pytest.mark.slow
def test_a_second_run_takes_up_what_is_there_and_less_than_two_minutes(told: str, node: Node) -> None:
    begun = time.monotonic()
    seen = demo(node, "run")
    took = time.monotonic() - begun
    print(f"second run: {took:.1f} s")
    assert seen.rstrip().endswith("Everything that was shown held.")
    assert took < SECOND_RUN_SECONDS


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(
    page: str, told: str, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page in FOR_OUR_NODE and node.name != OURS:
        pytest.skip(f"its samples name {OURS} and its address, which are to be changed for {node.name}")
    monkeypatch.setenv("MCS_NODE_IP", node.ip)  # as `make cluster-env` has it
    run(page, NODE, tmp_path, node.kubeconfig)
