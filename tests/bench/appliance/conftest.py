"""The appliance on this machine, all of its programs and pages, and the sheet that the figures go to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.given import Given, usual
from contract.people import our_programs_with_pages
from contract.subject import Subject, own_address
from support.sheet import Sheet, measured_on

ROWS = (
    "first-audio",
    "first-audio-p95",
    "audio-processor",
    "video-processor",
    "room-processor",
    "audio-memory",
    "video-memory",
    "room-memory",
    "sixty-lost",
    "socket-memory",
    "sockets-back",
    "revoked",
    "users-loaded",
    "user-changed",
)


@pytest.fixture(scope="session")
def sheet() -> Iterator[Sheet]:
    """The table of calls."""
    yield from measured_on("appliance", ROWS)


@pytest.fixture(scope="session")
def appliance() -> Iterator[Subject]:
    """It runs, and a portal is served."""
    with our_programs_with_pages() as found:
        yield found


@pytest.fixture
def given(appliance: Subject) -> Given:
    """Two customers, one of whom has a portal; browsers come to this machine's own address."""
    given = usual(appliance)
    given.instance["publicAddress"] = own_address()
    return given
