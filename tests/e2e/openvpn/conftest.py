"""Hosts for the tests of this folder; skipped with the reason where this machine cannot have any."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2e.openvpn.lab import Namespace
from support.cluster import MissingError
from support.levels import left_out_if_missing


def missing() -> str | None:
    """What this machine lacks, or None."""
    if os.geteuid():
        return "not root: network namespaces and tun devices need it"
    programs = [name for name in ("openvpn", "nft", "ip", "ping") if not shutil.which(name)]
    if programs:
        return f"not installed: {', '.join(programs)} (Debian: openvpn nftables iproute2 iputils-ping)"
    if not Path("/dev/net/tun").exists():
        return "no /dev/net/tun"
    try:
        Namespace("try").close()
    except RuntimeError as error:
        return f"no network namespaces here: {error}"
    return None


@pytest.fixture(scope="session", autouse=True)
def able() -> None:
    with left_out_if_missing():
        if reason := missing():
            raise MissingError(reason)


@pytest.fixture
def host(able: None) -> Iterator[Callable[[str], Namespace]]:
    """Makes hosts, and removes them after the test with all that runs on them."""
    with ExitStack() as closing:

        def make(purpose: str) -> Namespace:
            namespace = Namespace(purpose)
            closing.callback(namespace.close)
            return namespace

        yield make
