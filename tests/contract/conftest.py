"""The image under test and what is around it: MCS_IMAGE, else the programs of the reference appliance."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.given import Given, usual
from contract.subject import Subject, a_tvox, an_image, our_programs
from support.levels import left_out_if_missing


@pytest.fixture(scope="session")
def subject() -> Iterator[Subject]:
    """Started with nothing mounted; TVoxes 17 and 18 are there, and 19 is not."""
    with ExitStack() as closing:
        # Not a folder of pytest: the path of a Unix socket must stay below 97 characters.
        root = Path(tempfile.mkdtemp(prefix="mcs-"))
        closing.callback(shutil.rmtree, root, ignore_errors=True)
        with left_out_if_missing():
            image = os.environ.get("MCS_IMAGE")
            found = an_image(root, image, closing) if image else our_programs(root)
        for number in (17, 18):
            closing.enter_context(a_tvox(found.place, number))
        closing.callback(found.close)
        found.start()
        yield found


@pytest.fixture
def given(subject: Subject) -> Iterator[Given]:
    """Two customers with a TVox each, one of them with a portal for ada. Afterwards there is nothing unusual left."""
    given = usual(subject)
    subject.takes(given.write())
    yield given
    subject.ask("/drain", "DELETE")
