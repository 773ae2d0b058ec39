"""What the supervisor is told of how much each community uses: of communities, and of nobody in them."""

from __future__ import annotations

import json
import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.agent.usage import parse
from unit.portal.running import APPLIANCE, House

pytestmark = pytest.mark.timeout(20)
MIB = 1024 * 1024


async def usage(house: House) -> dict[str, Any]:
    answer = await house.inner("GET", "/usage")
    assert answer.status == 200, answer.content
    for name in ("ada", "bob", "cyd", "eve"):
        assert f'"{name}"'.encode() not in answer.content, "no user is named"
    found: dict[str, Any] = answer.json
    return found


async def of(house: House, community: str = "acme") -> dict[str, int]:
    found: dict[str, int] = (await usage(house))["communities"][community]
    return found


async def passes(house: House, seconds: int) -> None:
    for _ in range(seconds):
        await house.passes(1)


async def test_nothing_is_used_at_first_and_what_is_in_force_is_told(house: House) -> None:
    nothing = {"calls": 0, "callSeconds": 0, "chatBytes": 0, "fileBytes": 0}
    assert await usage(house) == {
        "communities": {"acme": nothing, "globex": nothing},
        "refused": {"Draining": 0, "NoBandwidth": 0, "NotAllowed": 0, "TooMany": 0, "CommunityLimitExceeded": 0},
        "quota": {"chatBytes": 256 * MIB, "fileBytes": 1024 * MIB},
        "retention": {"chatSeconds": 30 * 86_400, "fileSeconds": 7 * 86_400},
    }
    house.kept = {"chatSeconds": 7200, "quotaBytes": 8 * MIB}
    await house.told()
    found = await usage(house)
    assert found["retention"] == {"chatSeconds": 7200, "fileSeconds": 7 * 86_400}
    assert found["quota"] == {"chatBytes": 2 * MIB, "fileBytes": 8 * MIB}


async def test_what_the_portal_says_reaches_prometheus_and_is_what_the_contract_shows(house: House) -> None:
    """Portal, supervisor and link agent are three programs: each name of one is that of the next."""
    from appliance.report import usage_told

    ada = await house.signed_in("ada")
    await ada.post("/api/conversations/bob/files?name=a", data=b"x" * 1000)
    portals = tuple(SimpleNamespace(name=name) for name in ("acme", "globex"))
    current: Any = SimpleNamespace(people=SimpleNamespace(portals=portals))
    told = usage_told(current, await usage(house), {"acme": 2})
    taken = parse(json.dumps(told).encode())
    assert taken is not None
    assert taken.communities["acme"] == {
        "calls": 0, "participants": 2, "callSeconds": 0, "chatBytes": 0, "fileBytes": 1000,
    }  # fmt: skip
    assert (taken.refused, taken.quota, taken.retention) == (told["refused"], told["quota"], told["retention"])
    page = (APPLIANCE.parents[1] / "docs" / "appliance-contract.md").read_text().split("`GET /usage` has", 1)[1]
    shown = json.loads(page.split("```json\n", 1)[1].split("```", 1)[0])
    assert {name: set(part) for name, part in shown.items()} == {
        name: {"acme"} if name == "communities" else set(part) for name, part in told.items()
    }
    assert set(shown["communities"]["acme"]) == set(taken.communities["acme"])


async def test_a_call_counts_while_two_are_connected(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await passes(house, 5)
    assert (await of(house))["callSeconds"] == 0, "accepted, and nobody is connected yet"
    await house.connect(call, ada)
    await passes(house, 5)
    assert await of(house) == {"calls": 0, "callSeconds": 0, "chatBytes": 0, "fileBytes": 0}
    await house.connect(call, ada, bob)
    await passes(house, 60)
    found = await of(house)
    assert found["calls"] == 1
    assert 45 <= found["callSeconds"] <= 60, "as far as it is kept"
    await ada.post(f"/api/calls/{call}/leave")
    await passes(house, 60)
    found = await of(house)
    assert (found["calls"], found["callSeconds"]) == (0, 60)
    assert (await of(house, "globex"))["callSeconds"] == 0


async def test_two_devices_of_one_user_are_no_call(house: House) -> None:
    call, (ada, _) = await house.in_a_call("ada", "bob")
    other = await house.signed_in("ada")
    await ada.post(f"/api/calls/{call}/accept")
    await other.post(f"/api/calls/{call}/accept")
    await house.connect(call, ada, other)
    await passes(house, 10)
    assert (await of(house))["callSeconds"] == 0


async def test_call_seconds_outlive_a_portal_that_ends_and_all_but_the_last_of_one_that_is_killed(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    await passes(house, 40)
    await house.restart()
    assert (await of(house))["callSeconds"] == 40
    await house.connect(call, ada, bob)
    await passes(house, 40)
    await house.settled()
    told = (await of(house))["callSeconds"]
    house.portal.usage.keep = lambda: None  # type: ignore[method-assign]
    await house.restart()
    assert 65 <= (await of(house))["callSeconds"] <= 80
    assert (await of(house))["callSeconds"] >= told, "Prometheus would add all of it once more"


async def test_a_process_that_slept_counts_no_call_that_it_did_not_see(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    await house.passes(3600)
    assert (await of(house))["callSeconds"] == 5


async def test_what_is_stored_is_told_and_less_once_it_is_erased(house: House) -> None:
    ada = await house.signed_in("ada")
    await ada.post("/api/conversations/bob/messages", {"text": "hello"})
    await ada.post("/api/conversations/bob/files?name=a", data=b"x" * 1000)
    found = await of(house)
    assert (found["chatBytes"], found["fileBytes"]) == (205, 1000)
    await house.inner("POST", "/forget", {"community": "acme", "user": "ada"})
    found = await of(house)
    assert (found["chatBytes"], found["fileBytes"]) == (0, 0)


async def test_a_call_that_is_refused_is_counted_by_its_reason_and_one_to_somebody_busy_is_not(house: House) -> None:
    call, (ada, _) = await house.in_a_call("ada", "bob")
    cyd = await house.signed_in("cyd")
    ring = {"users": ["bob"], "media": "video"}
    assert (await cyd.post("/api/calls", ring)).error == (409, "busy")
    assert (await cyd.post("/api/calls", {"users": ["nobody"], "media": "video"})).error == (404, "not-found")
    house.bandwidth = 1
    await house.told()
    assert (await cyd.post("/api/calls", ring)).error == (503, "no-bandwidth")
    house.users["acme", "cyd"] = ["Audio"]
    await house.told()
    for _ in range(2):
        assert (await cyd.post("/api/calls", ring)).error == (403, "not-allowed")
    house.mode = "draining"
    await house.told()
    assert (await ada.post(f"/api/calls/{call}/invite", {"user": "cyd"})).error == (503, "draining")
    refused = {cause: count for cause, count in (await usage(house))["refused"].items() if count}
    assert refused == {"Draining": 1, "NoBandwidth": 1, "NotAllowed": 2}


async def test_communities_without_a_portal_and_those_that_are_gone_are_not_told(house: House) -> None:
    house.communities["globex"]["portal"] = None
    await house.told()
    assert set((await usage(house))["communities"]) == {"acme"}
    del house.communities["acme"]
    await house.told()
    assert (await usage(house))["communities"] == {}


async def test_a_database_of_before_is_brought_up_to_date(house: House) -> None:
    await house.stop()
    with sqlite3.connect(house.portal.store.path, isolation_level=None) as database:
        database.executescript("DROP TABLE talk; PRAGMA user_version = 1;")
    await house.start()
    assert (await of(house))["callSeconds"] == 0
