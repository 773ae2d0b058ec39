"""The node and the operator, as the end-to-end tests have them, and the sheet that the figures go to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.conftest import node, node_kubeconfig, operator_process, server
from support.sheet import Sheet, measured_on

__all__ = ["node", "node_kubeconfig", "operator_process", "server"]

ROWS = (
    "cable",
    "one",
    "one-share",
    "twenty",
    "twenty-share",
    "echo-cable",
    "echo",
    "started",
    "up",
    "running-memory",
    "idle-memory",
    "idle-processor",
)


@pytest.fixture(scope="session")
def sheet() -> Iterator[Sheet]:
    """The table of the data plane."""
    yield from measured_on("data-plane", ROWS)
