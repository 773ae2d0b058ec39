"""The appliance on this machine, all of its programs and pages, and the sheet that the figures go to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.given import Given, usual
from contract.subject import Subject, our_programs, own_address
from support.appliance import home_with_pages
from support.levels import left_out_if_missing
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
    with ExitStack() as closing:
        # Not a folder of pytest: the path of a Unix socket must stay below 97 characters.
        root = Path(tempfile.mkdtemp(prefix="mcs-"))
        closing.callback(shutil.rmtree, root, ignore_errors=True)
        with left_out_if_missing():
            found = our_programs(root, home_with_pages(root / "home"), own_address())
        closing.callback(found.close)
        found.start()
        yield found


@pytest.fixture
def given(appliance: Subject) -> Given:
    """Two customers, one of whom has a portal; browsers come to this machine's own address."""
    given = usual(appliance)
    given.instance["publicAddress"] = own_address()
    return given
