"""The resolver of this machine, asked in threads: bounded in number and in time, whatever the DNS does."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time

import pytest

from mcs_operator import resolver
from mcs_operator.contract.lookup import MAX_ADDRESSES, UNAVAILABLE, Answer, Failure
from mcs_operator.resolver import Resolver, look_up


def test_a_name_of_this_machine_is_found() -> None:
    assert [str(address) for address in look_up("localhost").addresses] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), Failure.NOT_FOUND),
        (socket.gaierror(socket.EAI_NODATA, "no address"), Failure.NOT_FOUND),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), Failure.UNAVAILABLE),
        (socket.gaierror(socket.EAI_FAIL, "broken"), Failure.UNAVAILABLE),
        (OSError(24, "too many open files"), Failure.UNAVAILABLE),
        (UnicodeError("label too long"), Failure.UNAVAILABLE),
    ],
)
def test_what_the_resolver_says_becomes_an_answer(
    error: Exception, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(resolver.socket, "getaddrinfo", fail)
    assert look_up("a.example") == Answer(failure=failure)


def test_addresses_are_told_once_in_order_and_not_by_the_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*_: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (f"10.0.{n // 250}.{n % 250}", 0)) for n in (*range(999, -1, -1), *range(1000))]

    monkeypatch.setattr(resolver.socket, "getaddrinfo", found)
    assert [str(a) for a in look_up("a.example").addresses] == [f"10.0.0.{n}" for n in range(MAX_ADDRESSES)]


async def test_nobody_is_asked_for_no_name() -> None:
    assert await Resolver().resolve([]) == {}


async def test_251_names_are_looked_up_a_few_at_a_time() -> None:
    lock, running, most = threading.Lock(), 0, 0

    def lookup(name: str) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return Answer(failure=Failure.NOT_FOUND)

    names = [f"c{n}.example" for n in range(251)]
    answers = await Resolver(lookup, parallel=8).resolve(names)
    assert list(answers) == names
    assert set(answers.values()) == {Answer(failure=Failure.NOT_FOUND)}
    assert most <= 8


async def test_what_takes_too_long_is_unavailable_and_does_not_pile_up() -> None:
    release = threading.Event()
    begun: list[str] = []

    def lookup(name: str) -> Answer:
        begun.append(name)
        release.wait(30)
        return Answer()

    asking = Resolver(lookup, parallel=2)
    assert await asking.resolve(["a", "b", "c"], within=0.1) == dict.fromkeys("abc", UNAVAILABLE)
    assert await asking.resolve(["d"], within=0.1) == {"d": UNAVAILABLE}
    assert begun == ["a", "b"], "the two that hang hold both places"
    release.set()
    assert await asking.resolve(["e"], within=10) == {"e": Answer()}


async def test_a_defect_in_a_lookup_is_no_answer() -> None:
    def lookup(_: str) -> Answer:
        raise RuntimeError("a defect")

    assert await Resolver(lookup).resolve(["a"]) == {"a": UNAVAILABLE}


def test_a_lookup_that_hangs_keeps_no_process_from_ending() -> None:
    code = (
        "import asyncio, time; from mcs_operator.resolver import Resolver; "
        "asyncio.run(Resolver(lambda _: time.sleep(60)).resolve(['a'], within=0.1)); print('ended')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    asking = Resolver(lambda _: Answer(), parallel=1)
    task = asyncio.create_task(asking.resolve(["a", "b"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asking.resolve(["c"], within=10) == {"c": Answer()}
