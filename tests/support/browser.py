"""Debian's Chromium, driven by Playwright for Python."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.cluster import MissingError
from support.lab import Namespace, bridge_of

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
]
GIVING = "--use-fake-ui-for-media-stream"
"""Microphone and camera are given to whoever asks, and their picture and tone are Chromium's own."""
REFUSING = "--deny-permission-prompts"


@contextmanager
def beside(node: str) -> Iterator[str | Path | None]:
    """Chromium on a host of its own beside the node with this address: a program to launch. Where the node is another
    machine, it is the one of this machine.

    On the node itself it would lose packets and connections whenever a pod comes or goes: with each its list of
    networks changes. And it would use no relay over TCP, whose address would be that of its own end.
    """
    if bridge_of(node) is None:
        yield CHROMIUM
        return
    with host_beside(node) as (_, program):
        yield program


@contextmanager
def host_beside(node: str, number: int = 81) -> Iterator[tuple[Namespace, Path]]:
    """The same where the node is this machine, and the host with it, whose address is the node's but for its end."""
    bridge = bridge_of(node)
    assert bridge, f"{node} is on no bridge of this machine"
    host = Namespace("browsers")
    try:
        # A link gets an address of IPv6 by itself a second or two later: a change of networks, and a page that is
        # loading then is given up (ERR_NETWORK_CHANGED).
        for_all = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do [ ! -e $f ] || echo 1 >$f; done"
        host.run("sh", "-c", for_all)
        host.plug_in(bridge, neighbour(node, number), node)
        with TemporaryDirectory() as folder:
            program = Path(folder, "chromium")
            program.write_text(f'#!/bin/sh\nexec ip netns exec {host.name} {CHROMIUM} "$@"\n')
            program.chmod(0o755)
            yield host, program
    finally:
        host.close()


def neighbour(node: str, number: int) -> str:
    """The address with this end in the node's network."""
    return f"{node.rpartition('.')[0]}.{number}"


def trust(home: Path, root: str) -> None:
    """The browser whose home is there trusts this root from now on, as where an administrator has added it. All of its
    checks stay on."""
    store, certutil = home / ".pki/nssdb", shutil.which("certutil")
    if certutil is None:
        raise MissingError("certutil is missing: Debian's package libnss3-tools")
    store.mkdir(parents=True, exist_ok=True)
    (home / "root.pem").write_text(root)
    subprocess.run([certutil, "-d", f"sql:{store}", "-N", "--empty-password"], check=True)
    subprocess.run(
        [certutil, "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "root", "-i", home / "root.pem"], check=True
    )


def at_home(home: Path) -> Path:
    """A program to launch: Chromium, of somebody whose home is there."""
    program = home / "chromium"
    program.write_text(f'#!/bin/sh\nHOME={home} exec {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    return program


@asynccontextmanager
async def launched(*flags: str, program: str | Path | None = CHROMIUM, mute: bool = True) -> AsyncIterator[Any]:
    """``mute``: its pages make no sound; then a tab that is shared has none, either."""
    from playwright.async_api import async_playwright  # not needed to read this file: stories are skipped without it

    async with async_playwright() as started:
        unwanted = [] if mute else ["--mute-audio"]
        browser = await started.chromium.launch(
            executable_path=program, args=[*FLAGS, *flags], ignore_default_args=unwanted
        )
        try:
            yield browser
        finally:
            await browser.close()
