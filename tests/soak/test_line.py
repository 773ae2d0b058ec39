"""What a call takes of the line, by the browsers' own word, and what gets lost where many talk at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from contract.given import usual
from contract.load import LINE, the_media_server_of, under_load
from contract.people import our_programs_with_pages, served, two
from contract.subject import Subject, own_address
from support.browser import CHROMIUM
from support.people import Person, talk

SECONDS = 20
TAKEN = """
async () => {
  const taken = {received: 0, sent: 0};
  for (const connection of window.connections) {
    for (const stat of (await connection.getStats()).values()) {
      if (stat.type === "transport") { taken.received += stat.bytesReceived; taken.sent += stat.bytesSent; }
    }
  }
  return taken;
}
"""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def appliance() -> Iterator[Subject]:
    """Its programs on this machine."""
    with our_programs_with_pages() as found:
        yield found


async def taken(person: Person) -> dict[str, float]:
    """KB/s that his browser receives and sends, for so many seconds."""
    begun, before = time.monotonic(), await person.page.evaluate(TAKEN)
    await asyncio.sleep(SECONDS)
    now, seconds = await person.page.evaluate(TAKEN), time.monotonic() - begun
    return {way: round((now[way] - before[way]) / 1000 / seconds, 1) for way in before}


@pytest.mark.skipif(not CHROMIUM, reason="not installed: chromium")
async def test_a_connection_takes_60_kb_per_second_each_way_at_most(appliance: Subject) -> None:
    given = usual(appliance)
    given.instance["publicAddress"] = own_address()
    async with two(appliance, given) as (ada, bob):
        await ada.call("Bob")
        await bob.accept()
        await talk(ada, bob, seconds=40)
        with_pictures = await asyncio.gather(taken(ada), taken(bob))
        for person in (ada, bob):
            await person.button("Stop video").click()
        by_voice = await asyncio.gather(taken(ada), taken(bob))
    print(f"\nKB/s with pictures: {with_pictures}; by voice alone: {by_voice}")
    assert all(10 < each <= LINE / 8 for one in with_pictures for each in one.values())
    assert all(0 < each <= LINE / 8 / 4 for one in by_voice for each in one.values())


@pytest.mark.parametrize(("participants", "video"), [(100, 0), (100, LINE), (200, 0), (200, LINE)])
def test_what_is_lost_where_many_talk_at_once(appliance: Subject, participants: int, video: int) -> None:
    """Senders and receivers are on the same cores: where these do not carry them, less is heard."""
    served(appliance, usual(appliance))
    load = under_load(the_media_server_of(appliance), participants // 2, 2, video, SECONDS)
    print(f"\n{participants} in calls of two, {video} kbit/s of picture: {load}")
    assert load.heard > 0
