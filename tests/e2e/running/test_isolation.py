"""What a TVox can reach through its tunnel, where the pod's ports are published as ports of the node."""

from __future__ import annotations

import pytest

from e2e.isolation import CURIOUS, Isolation, careless_profile
from support.mcs import Mcs

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]


@pytest.fixture(scope="module", autouse=True)
def _curious(mcs: Mcs, globex: str) -> None:
    """Globex is the curious one here."""
    assert globex == CURIOUS
    assert not mcs.on_host_network
    mcs.visit(globex, careless_profile(mcs, globex))
    mcs.dialled_in(globex)


class TestOnPortsOfTheNode(Isolation):
    """In the pod that this package's tests share."""
