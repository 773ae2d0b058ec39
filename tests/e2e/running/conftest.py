"""The one MCS of this package, served by the operator as a process on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from e2e.conftest import operator_at_work
from support.api import Api
from support.cluster import Node
from support.mcs import Mcs, serving
from support.operator import Operator
from support.waiting import until

FIRST = "acme"


@pytest.fixture(scope="package")
def operator_process(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """The one operator of this package."""
    yield from operator_at_work(server, tmp_path_factory)


@pytest.fixture(scope="package")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """A ready instance whose first customer, acme, has a tunnel: the one who must never notice anything."""
    with serving(node, server, first=FIRST) as mcs:
        yield mcs


@pytest.fixture(scope="module")
def globex(mcs: Mcs, operator_process: Operator) -> Iterator[str]:
    """A second customer, connected, whom things happen to. Each test leaves him as it found him."""
    operator_process.ensure()
    mcs.link("globex")
    begun = datetime.now(UTC).replace(microsecond=0)
    mcs.connect("globex")
    # Until the agent has missed it, the status may still be about the tunnel that he had in the module before. His
    # address does not tell: on kind a pod that comes to a host port of its own node has the node's.
    until("the status is about this tunnel", lambda: up_since(mcs, "globex") >= begun)
    yield "globex"
    mcs.remove("globex")


def up_since(mcs: Mcs, link: str) -> datetime:
    """By the status."""
    return datetime.fromisoformat(mcs.status(link)["tunnel"]["since"])
