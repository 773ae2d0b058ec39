"""A call that only the relay carries, for longer than a browser goes on without renewing anything at it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contract.given import usual
from contract.people import two
from contract.subject import Subject, our_programs, own_address
from support.appliance import home_with_pages
from support.browser import CHROMIUM
from support.levels import left_out_if_missing
from support.people import only_by, received_over, talk

LIFE = 20
"""Seconds that a credential is good for new addresses of the relay."""
CALL = 660
"""Seconds: an address lives for ten minutes, and a browser renews it before that."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(CALL + 200)]


@pytest.fixture
def appliance() -> Iterator[Subject]:
    """Its programs on this machine, whose credentials are shorter than usual."""
    if not CHROMIUM:
        pytest.skip("not installed: chromium")
    with ExitStack() as closing:
        # Not a folder of pytest: the path of a Unix socket must stay below 97 characters.
        root = Path(tempfile.mkdtemp(prefix="mcs-"))
        closing.callback(shutil.rmtree, root, ignore_errors=True)
        with left_out_if_missing():
            home = home_with_pages(root / "home")
            settings = home / "gate" / "__main__.py"
            usual_life = 'env.get("MCS_TURN_SECONDS", "600")'
            assert usual_life in settings.read_text()
            settings.write_text(settings.read_text().replace(usual_life, f'"{LIFE}"'))
            found = our_programs(root, home, own_address())
        closing.callback(found.close)
        found.start()
        yield found


async def test_a_call_by_the_relay_goes_on_for_over_ten_minutes_and_thirty_lives_of_a_credential(
    appliance: Subject,
) -> None:
    given = usual(appliance)
    given.instance["publicAddress"] = own_address()
    async with two(appliance, given, only_by("turn", "udp", own_address())) as (ada, bob):
        await ada.call("Bob")
        await bob.accept()
        await talk(ada, bob, seconds=40)
        heard = await received_over(bob, asyncio.sleep(CALL))
        print(f"\nonly by the relay: {heard}")
        paths = [*await ada.paths(), *await bob.paths()]
        assert paths and all(path == ["relay", "udp"] for path in paths), paths
        # These cores make, carry and show both pictures: what they lose when they are busy is not the relay's.
        assert heard["lost"] <= heard["audio"] / 100 and heard["audio"] > 45 * CALL
        assert [ada.errors, bob.errors] == [[], []]
