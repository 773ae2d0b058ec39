"""The gate on a real node: nothing happens before its hour, an idle pod goes when the window opens, a busy one when it
ends by Force."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.api import Api, Object
from support.cluster import Node
from support.mcs import POD, Mcs, serving
from support.objects import INSTANCE
from support.operator import Operator
from support.waiting import until

FIRST = "acme"
DRAIN = 5
TO_REPLACE = timedelta(minutes=2)
"""What the gate leaves for the next pod, beside the drain."""


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator) -> Iterator[Mcs]:
    """An instance that may be interrupted in a month only."""
    far = window(datetime.now(UTC) + timedelta(days=40), "1h")
    with serving(node, server, first=FIRST, disruptions=far, drainSeconds=DRAIN) as mcs:
        yield mcs


def window(begins: datetime, duration: str, **more: Any) -> Object:
    schedule = f"{begins.minute} {begins.hour} {begins.day} {begins.month} *"
    return {"windows": [{"schedule": schedule, "duration": duration}], **more}


def next_minute(at_least: timedelta) -> datetime:
    """The first minute that is so far away: a window begins and ends with one."""
    return (datetime.now(UTC) + at_least + timedelta(minutes=1)).replace(second=0, microsecond=0)


def status(mcs: Mcs) -> dict[str, Any]:
    found: dict[str, Any] = mcs.api.get("MCSInstance", INSTANCE)["status"]
    return found


def waits(mcs: Mcs) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = status(mcs).get("disruptions", [])
    return found


def uid(mcs: Mcs) -> str:
    pod = mcs.api.find("Pod", POD)
    return str(pod["metadata"]["uid"]) if pod else ""


def replaced(mcs: Mcs, before: str, timeout: float) -> dict[str, Any]:
    """Wait for another pod that serves, and for the ledger to say so; the entry."""
    until("another pod is there", lambda: uid(mcs) not in ("", before), timeout)
    mcs.api.wait_condition("MCSInstance", INSTANCE, "Ready", "True", timeout=120)
    mcs.connected(FIRST, timeout=60)

    def over() -> dict[str, Any]:
        newest: dict[str, Any] = status(mcs)["interruptions"][0]
        assert "over" in newest and not waits(mcs)
        return newest

    return until("it is over", over, 30)


@contextmanager
def somebody_talks(mcs: Mcs) -> Iterator[None]:
    """One exchange with the TVox that goes on: a request whose body never ends."""
    ended = threading.Event()
    with socket.create_connection((mcs.node.ip, 80), timeout=5) as talk:
        head = f"POST /talk HTTP/1.1\r\nHost: {mcs.domain(FIRST)}\r\nContent-Length: 100000\r\n\r\n"
        talk.sendall(head.encode())

        def trickle() -> None:
            while not ended.wait(1):
                try:
                    talk.sendall(b".")
                except OSError:
                    return  # cut off, as it must be in the end

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_outside_of_the_window_nobody_notices_a_changed_field_and_undone_it_is_gone(mcs: Mcs) -> None:
    with mcs.unnoticed(by=FIRST):
        mcs.api.change("MCSInstance", INSTANCE, vpn={"slots": 11})
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Waiting")
        assert [(one["cause"], one["links"]) for one in waits(mcs)] == [("SpecChanged", 1)]
        mcs.api.change("MCSInstance", INSTANCE, vpn={"slots": 12})
        mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "False")
        until("it is gone from the list", lambda: not waits(mcs))
    assert "interruptions" not in status(mcs)


def test_what_waits_for_its_window_goes_at_once_where_somebody_allows_it(mcs: Mcs) -> None:
    before = uid(mcs)
    mcs.release(*mcs.witnesses)
    mcs.api.change("MCSInstance", INSTANCE, vpn={"slots": 11})
    mcs.api.wait_condition("MCSInstance", INSTANCE, "RestartPending", "True", "Waiting")
    assert uid(mcs) == before
    mcs.api.annotate("MCSInstance", INSTANCE, disruptions_allowed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    entry = replaced(mcs, before, 60)
    assert (entry["number"], entry["cause"]) == (1, "SpecChanged")
    mcs.api.annotate("MCSInstance", INSTANCE, disruptions_allowed_at=None)


def test_when_the_window_opens_an_idle_pod_is_replaced(mcs: Mcs) -> None:
    before = uid(mcs)
    begins = next_minute(at_least=timedelta(seconds=15))
    rules = window(begins, "30m", whenIdle={"seconds": 5})
    mcs.api.change("MCSInstance", INSTANCE, disruptions=rules, vpn={"slots": 12})
    until("it waits", lambda: waits(mcs))
    assert datetime.fromisoformat(waits(mcs)[0]["plannedFor"]) == begins
    until("it is another minute", lambda: datetime.now(UTC) > begins - timedelta(seconds=10), 120)
    assert uid(mcs) == before

    entry = replaced(mcs, before, 90)
    begun = datetime.fromisoformat(entry["begun"])
    print(f"begun {begun - begins} after the window opened, over at {entry['over']}")
    assert timedelta(0) <= begun - begins < timedelta(seconds=20)
    assert (entry["number"], entry["cause"], entry["connections"], entry["links"]) == (2, "SpecChanged", 0, 1)


@pytest.mark.slow
def test_by_force_somebody_who_talks_is_cut_off_before_the_window_ends_and_not_earlier(mcs: Mcs) -> None:
    before = uid(mcs)
    ends = next_minute(at_least=timedelta(seconds=25) + TO_REPLACE + timedelta(seconds=DRAIN))
    last_moment = ends - TO_REPLACE - timedelta(seconds=DRAIN)
    rules = window(ends - timedelta(minutes=5), "5m", whenIdle={"seconds": 20}, atWindowEnd="Force")
    with somebody_talks(mcs):
        until("that is known", lambda: mcs.inside("http://127.0.0.1:21000/connections")["connections"] == 1, 30)
        mcs.api.change("MCSInstance", INSTANCE, disruptions=rules, vpn={"slots": 11})
        until("it waits", lambda: waits(mcs))
        assert datetime.fromisoformat(waits(mcs)[0]["plannedFor"]) == last_moment
        until("the last moment is near", lambda: datetime.now(UTC) > last_moment - timedelta(seconds=3), 240)
        assert uid(mcs) == before
        entry = replaced(mcs, before, 90)
    begun, over = (datetime.fromisoformat(entry[moment]) for moment in ("begun", "over"))
    print(f"begun {begun - last_moment} after the last moment, over {ends - over} before the window's end")
    assert timedelta(0) <= begun - last_moment < timedelta(seconds=10)
    assert over < ends
    assert (entry["number"], entry["connections"], entry["links"]) == (3, 1, 1)
