"""A call that only the relay carries, for longer than a browser goes on without renewing anything at it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.given import usual
from contract.people import our_programs_with_pages, two
from contract.subject import Subject, own_address
from support.browser import CHROMIUM
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
    with our_programs_with_pages(shorter) as found:
        yield found


def shorter(home: Path) -> None:
    """Credentials of the gate there live for so long."""
    settings = home / "gate" / "__main__.py"
    usual_life = 'env.get("MCS_TURN_SECONDS", "600")'
    assert usual_life in settings.read_text()
    settings.write_text(settings.read_text().replace(usual_life, f'"{LIFE}"'))


@pytest.mark.parametrize(
    ("scheme", "transport", "protocol"), [("turn", "udp", "udp"), ("turn", "tcp", "tcp"), ("turns", "tcp", "tls")]
)
async def test_a_call_by_the_relay_goes_on_for_over_ten_minutes_and_thirty_lives_of_a_credential(
    appliance: Subject, scheme: str, transport: str, protocol: str
) -> None:
    given = usual(appliance)
    given.instance["publicAddress"] = own_address()
    async with two(appliance, given, only_by(scheme, transport, own_address())) as (ada, bob):
        await ada.call("Bob")
        await bob.accept()
        await talk(ada, bob, seconds=40)
        heard = await received_over(bob, asyncio.sleep(CALL))
        print(f"\nonly by {scheme} over {transport}: {heard}")
        paths = [*await ada.paths(), *await bob.paths()]
        assert paths and all(path == ["relay", protocol] for path in paths), paths
        # These cores make, carry and show both pictures: what they lose when they are busy is not the relay's.
        assert heard["lost"] <= heard["audio"] / 100 and heard["audio"] > 45 * CALL
        assert [ada.errors, bob.errors] == [[], []]
