"""The quota that keeps the law of 250 at the API server: crowds that race against it, and ways around it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from support.api import Api, Object, Refused
from support.objects import INSTANCE, a_link, an_instance
from support.operator import Operator
from support.waiting import until

LINKS = "count/tvoxlinks.mcs.tvox.io"
INSTANCES = "count/mcsinstances.mcs.tvox.io"
LIMITS = {LINKS: "250", INSTANCES: "1"}
QUOTA = f"{INSTANCE}-max-250-tvoxlinks"
IN_FLIGHT = 64


def until_kept(api: Api, links: int = 0, timeout: float = 30) -> None:
    """Wait until the API server is asked for the limits, enforces them, and counts so many links."""
    version, since = "", time.monotonic()

    def look() -> bool:
        nonlocal version, since
        quota = api.get("ResourceQuota", QUOTA)
        if quota["metadata"]["resourceVersion"] != version:
            version, since = quota["metadata"]["resourceVersion"], time.monotonic()
        assert quota["spec"].get("hard") == LIMITS, quota["spec"]
        status = quota.get("status", {})
        assert status.get("hard") == LIMITS, status
        assert status.get("used") == {LINKS: str(links), INSTANCES: "1"}, status
        assert time.monotonic() - since >= 1, (
            "just now: the quota's controller and the server's own watch may be behind"
        )
        return True

    def there() -> bool:
        try:
            return look()
        except Refused as refused:
            raise AssertionError(str(refused)) from refused

    until(f"the quota counts {links} links", there, timeout)


def until_counted(api: Api, timeout: float = 60) -> None:
    """Wait until the quota counts what there is: on a new server its controller needs a while to find our kinds, and
    the operator, which sees a wrong count, counts in its place."""

    def look() -> bool:
        used = (api.find("ResourceQuota", QUOTA) or {}).get("status", {}).get("used")
        there = {LINKS: str(len(api.list("TVoxLink"))), INSTANCES: str(len(api.list("MCSInstance")))}
        assert used == there, f"{used}, there are {there}"
        return True

    until("the quota counts what there is", look, timeout)


def create_quota(api: Api, name: str, hard: dict[str, str]) -> None:
    """Create one of the test's own, and wait until its controller has looked at it."""
    api.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}})
    until("the quota's controller has looked", lambda: api.get("ResourceQuota", name).get("status", {}).get("hard"), 90)


def create_once_counted(api: Api, body: Object, timeout: float = 30) -> None:
    """Create again what has just been deleted."""
    until_room(api, body, timeout)
    api.create(body)


def until_room(api: Api, body: Object, timeout: float = 60) -> None:
    """Wait until this may be created: what was deleted is counted until the quota controller has seen it go."""
    until(f"there is room for {body['metadata']['name']}", lambda: _is_room(api, body), timeout)


def _is_room(api: Api, body: Object) -> bool:
    try:
        api.create(body, dry_run=True)
    except Refused as refused:
        assert "exceeded quota" not in refused.message and "status unknown for quota" not in refused.message, refused
        raise
    return True


def race(creates: Iterable[tuple[Api, Object]], in_flight: int = IN_FLIGHT) -> list[Refused]:
    """Create everything, so many at a time; the refusals."""

    def create(one: tuple[Api, Object]) -> Refused | None:
        try:
            one[0].create(one[1])
        except Refused as refused:
            return refused
        return None

    with ThreadPoolExecutor(in_flight) as crowd:
        return [refused for refused in crowd.map(create, creates) if refused]


def crowd(api: Api, count: int, name: str = "c") -> list[tuple[Api, Object]]:
    """So many links to create, for `race`."""
    return [(api, a_link(f"{name}{number:04d}")) for number in range(count)]


def names(api: Api) -> set[str]:
    """Names of the links that are stored."""
    return {str(link["metadata"]["name"]) for link in api.list("TVoxLink")}


def accepted(api: Api) -> set[str]:
    """Names of the links that are accepted, by their status."""
    return {
        str(link["metadata"]["name"])
        for link in api.list("TVoxLink")
        for condition in link.get("status", {}).get("conditions", [])
        if (condition["type"], condition["status"]) == ("Accepted", "True")
    }


def until_accepted(api: Api, count: int, timeout: float = 120) -> set[str]:
    """Wait until exactly so many links are accepted; their names."""

    def look() -> bool:
        found = len(accepted(api))
        assert found == count, f"{found} are accepted"
        return True

    until(f"{count} are accepted", look, timeout, pause=0.5)
    return accepted(api)


@contextmanager
def around_the_quota(api: Api, operator: Operator) -> Iterator[None]:
    """What the block creates is not counted: the operator is stopped meanwhile, and an administrator takes the quota
    away. This is how a restore, or an operator of the time before, has left it."""
    until("there is a quota", lambda: api.find("ResourceQuota", QUOTA), 20)
    operator.stop()
    api.delete("ResourceQuota", QUOTA, wait=10)
    for body in (an_instance("canary"), a_link("canary")):  # the API server's own watch may be behind
        until("nobody asks for it any more", lambda body=body: _is_room(api, body), 30)
    yield
    operator.start()
