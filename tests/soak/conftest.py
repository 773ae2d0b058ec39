"""The node and the operator, as the end-to-end tests have them, and the sheet that the figures go to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.people import our_programs_with_pages
from contract.subject import Subject
from e2e.conftest import node, node_kubeconfig, operator_process, server
from support.browser import CHROMIUM
from support.sheet import Sheet, measured_on

__all__ = ["node", "node_kubeconfig", "operator_process", "server"]

ROWS = [f"{part}-{slots}" for slots in (64, 250) for part in ("stop", "start", "ready", "back")]


@pytest.fixture(scope="session")
def sheet() -> Iterator[Sheet]:
    """The table of the pod's life."""
    yield from measured_on("pod-life", ROWS)


@pytest.fixture
def appliance() -> Iterator[Subject]:
    """The appliance's programs on this machine, for pages in a browser."""
    if not CHROMIUM:
        pytest.skip("not installed: chromium")
    with our_programs_with_pages() as found:
        yield found
