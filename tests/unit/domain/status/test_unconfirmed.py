"""A node that is cut off: what nobody confirms is said once to be unknown, and once to be known again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mcs_operator.api.conditions import Kind
from mcs_operator.contract.linkstate import LinkReport
from mcs_operator.domain.decide import decide
from mcs_operator.domain.status import Wanted, all_statuses
from support.worlds import NOW, community, conditions, given, identity, instance, link, pod, report, state

NUMBERS = range(2, 252)
CONFIRMED = report(*(state(number, f"r{number}") for number in NUMBERS))
WANTED = Wanted({number: f"r{number}" for number in NUMBERS})
THINGS = [
    instance(vpn={"slots": 250}),
    community(),
    *(link(f"c{number:03d}") for number in NUMBERS),
    *(identity(f"c{number:03d}", number) for number in NUMBERS),
    pod(),
]


class Place:
    """A full namespace over time: what was told last is what stands in the objects."""

    def __init__(self) -> None:
        self.told: dict[tuple[Kind, str], dict[str, Any]] = {}

    def at(self, seconds: float, said: LinkReport | None) -> int:
        """How many statuses are written so many seconds later, where the agent says this, or nobody confirms it."""
        live = {key: status["conditions"] for key, status in self.told.items()}
        world = given(THINGS, [said] if said else [], now=NOW + timedelta(seconds=seconds), conditions=live)
        before, self.told = self.told, all_statuses(world, decide(world), WANTED)
        return sum(before.get(key) != status for key, status in self.told.items())

    def ready(self) -> set[tuple[str, str]]:
        kinds = (Kind.INSTANCE, Kind.LINK)
        return {conditions(status)["Ready"] for (kind, _), status in self.told.items() if kind in kinds}


def test_of_250_links_each_is_written_once_when_it_begins_and_once_when_it_ends_and_never_between() -> None:
    place = Place()
    place.at(0, CONFIRMED)
    assert place.ready() == {("True", "Serving"), ("True", "Programmed")}
    assert place.at(100, None) == 251
    assert place.ready() == {("Unknown", "AgentUnreachable")}
    assert [place.at(100 + seconds, None) for seconds in (1, 30, 3600, 86400)] == [0, 0, 0, 0]
    assert place.at(90_000, CONFIRMED) == 251
    assert [place.at(90_000 + seconds, CONFIRMED) for seconds in (1, 3600)] == [0, 0]
