"""Looking up names: how often, and whom that wakes. Hours of virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from ipaddress import IPv4Address

import pytest

from mcs_operator.contract.lookup import UNAVAILABLE, Answer, Failure, Lookup
from mcs_operator.media.lookups import LONGEST_PAUSE, WELL_PAUSE, Lookups
from support.virtual_time import VirtualTime

RIGHT = Answer(addresses=(IPv4Address("203.0.113.7"),))
WRONG = Answer(addresses=(IPv4Address("192.0.2.9"),))
NONE = Answer(failure=Failure.NOT_FOUND)
HOUR = 3600.0


class Dns:
    """What both resolvers say, and what they were asked: (seconds, namespace or "", names)."""

    def __init__(self, pod: Answer = RIGHT, here: Answer = RIGHT) -> None:
        self.pod, self.here = pod, here
        self.asked: list[tuple[float, str, list[str]]] = []
        self.woken: list[str] = []
        self.at_once = self.most_at_once = 0

    async def in_pod(self, namespace: str, names: Collection[str]) -> dict[str, Answer]:
        self.asked.append((asyncio.get_running_loop().time(), namespace, list(names)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(2)
        self.at_once -= 1
        return dict.fromkeys(names, self.pod)

    async def own(self, names: Collection[str]) -> dict[str, Answer]:
        return dict.fromkeys(names, self.here)

    @property
    def times(self) -> list[float]:
        return [at for at, _, _ in self.asked]


Story = Callable[[Lookups], Awaitable[None]]


def during(dns: Dns, story: Story) -> Dns:
    async def main() -> None:
        lookups = Lookups(dns.in_pod, dns.own, dns.woken.append)
        await story(lookups)
        await lookups.close()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(main())
    return dns


def names(count: int = 1, address: str = "203.0.113.7") -> dict[str, str]:
    return {f"c{number}.test": address for number in range(count)}


def following(seconds: float, count: int = 1) -> Story:
    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names(count))
        await asyncio.sleep(seconds)

    return story


@pytest.mark.parametrize("count", [1, 250, 251])
def test_names_that_are_well_are_asked_for_together_and_seldom(count: int) -> None:
    dns = during(Dns(), following(24 * HOUR, count))
    assert {len(asked) for _, _, asked in dns.asked} == {count}
    assert 24 * HOUR / WELL_PAUSE * 0.9 <= len(dns.asked) <= 24 * HOUR / WELL_PAUSE * 1.12
    assert dns.woken == ["demo"]


@pytest.mark.parametrize("wrong", [NONE, WRONG, UNAVAILABLE, Answer(failure=Failure.NOT_SUPPORTED)])
def test_what_is_wrong_is_asked_for_ever_more_seldom(wrong: Answer) -> None:
    dns = during(Dns(pod=wrong), following(24 * HOUR))
    pauses = [after - before for before, after in zip(dns.times, dns.times[1:], strict=False)]
    assert 27 <= pauses[0] <= 37
    assert 54 <= pauses[1] <= 70
    assert all(LONGEST_PAUSE * 0.9 <= pause <= LONGEST_PAUSE * 1.12 for pause in pauses[5:])
    assert 24 * HOUR / LONGEST_PAUSE * 0.85 <= len(dns.asked) <= 24 * HOUR / LONGEST_PAUSE * 1.2 + 6


def test_weeks_of_it_are_no_overflow() -> None:
    dns = during(Dns(pod=NONE), following(24 * HOUR * 14))
    assert dns.times[-1] > 24 * HOUR * 14 - 2 * LONGEST_PAUSE


def test_only_another_answer_wakes() -> None:
    dns = Dns(pod=NONE)

    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names())
        await asyncio.sleep(HOUR)
        assert dns.woken == ["demo"]
        dns.pod = RIGHT
        await asyncio.sleep(HOUR)
        assert dns.woken == ["demo", "demo"]
        assert lookups.known("demo") == {"c0.test": Lookup(RIGHT, RIGHT)}

    during(dns, story)


def test_a_resolver_that_fails_twice_takes_nothing_back_and_at_the_third_time_is_not_believed() -> None:
    dns = Dns()

    async def questions(count: int) -> None:
        while len(dns.asked) < count:  # noqa: ASYNC110 - of virtual seconds
            await asyncio.sleep(1)
        await asyncio.sleep(5)

    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names())
        await questions(1)
        dns.pod = UNAVAILABLE
        await questions(3)
        assert lookups.known("demo") == {"c0.test": Lookup(RIGHT, RIGHT)}
        await questions(4)
        assert lookups.known("demo") == {"c0.test": Lookup(UNAVAILABLE, RIGHT)}
        dns.pod = RIGHT
        await questions(5)
        assert lookups.known("demo") == {"c0.test": Lookup(RIGHT, RIGHT)}

    assert during(dns, story).woken == ["demo"] * 3


def test_a_first_answer_that_fails_is_no_answer() -> None:
    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names())
        await asyncio.sleep(10)
        assert lookups.known("demo") == {"c0.test": Lookup(None, RIGHT)}

    during(Dns(pod=UNAVAILABLE), story)


def test_a_new_name_is_asked_for_at_once_and_alone() -> None:
    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names(249))
        await asyncio.sleep(60)
        lookups.follow("demo", "pod", names(250))
        await asyncio.sleep(5)

    dns = during(Dns(), story)
    assert [asked for _, _, asked in dns.asked] == [list(names(249)), ["c249.test"]]


def test_250_names_that_come_one_by_one_are_few_questions() -> None:
    async def story(lookups: Lookups) -> None:
        for count in range(1, 251):
            lookups.follow("demo", "pod", names(count))
            await asyncio.sleep(0.04)
        await asyncio.sleep(10)

    dns = during(Dns(), story)
    assert len(dns.asked) <= 6
    assert sorted(name for _, _, asked in dns.asked for name in asked) == sorted(names(250))


def test_a_reconciliation_that_changes_nothing_asks_for_nothing() -> None:
    async def story(lookups: Lookups) -> None:
        for _ in range(1000):
            lookups.follow("demo", "pod", names(3))
            await asyncio.sleep(0.5)

    assert len(during(Dns(), story).asked) == 1


def test_another_address_or_another_pod_is_another_question() -> None:
    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names(2))
        await asyncio.sleep(60)
        lookups.follow("demo", "pod", names(1, "192.0.2.9") | {"c1.test": "203.0.113.7"})
        await asyncio.sleep(60)
        lookups.follow("demo", "another", names(1, "192.0.2.9") | {"c1.test": "203.0.113.7"})
        await asyncio.sleep(10)

    asked = [asked for _, _, asked in during(Dns(), story).asked]
    assert asked[0] == ["c0.test", "c1.test"]
    assert asked[-1] == ["c0.test", "c1.test"]
    assert asked[1:-1] in ([["c0.test"]], [["c0.test"]] * 2), "as it is wrong now, perhaps once more"


def test_nothing_is_asked_while_no_agent_answers_and_nothing_forgotten() -> None:
    dns = Dns()

    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "", names())
        await asyncio.sleep(HOUR)
        assert dns.asked == []
        lookups.follow("demo", "pod", names())
        await asyncio.sleep(10)
        lookups.follow("demo", "", names())
        await asyncio.sleep(24 * HOUR)
        assert len(dns.asked) == 1
        assert lookups.known("demo") == {"c0.test": Lookup(RIGHT, RIGHT)}

    during(dns, story)


def test_a_name_that_goes_and_a_namespace_that_goes_are_forgotten() -> None:
    dns = Dns()

    async def story(lookups: Lookups) -> None:
        lookups.follow("demo", "pod", names(2))
        await asyncio.sleep(10)
        lookups.follow("demo", "pod", names(1))
        assert set(lookups.known("demo")) == {"c0.test"}
        lookups.follow("demo", "pod", {})
        assert lookups.known("demo") == {}
        await asyncio.sleep(24 * HOUR)

    assert len(during(dns, story).asked) == 1


def test_a_hundred_namespaces_ask_four_at_a_time_and_do_not_keep_step() -> None:
    async def story(lookups: Lookups) -> None:
        for number in range(100):
            lookups.follow(f"ns{number}", "pod", names(250))
        await asyncio.sleep(WELL_PAUSE * 1.2 + 60)

    dns = during(Dns(), story)
    assert dns.most_at_once == 4
    second = [at for at in dns.times if at > WELL_PAUSE / 2]
    assert len(second) == 100
    assert max(second) - min(second) > WELL_PAUSE * 0.12
    assert sorted(set(dns.woken)) == sorted(dns.woken), "each was woken once"
