"""Hashes: which are taken, what an unknown user costs, and that communities take turns."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest
from portal import passwords
from portal.passwords import Hashes, UnverifiableError, Verifier
from portal.refusals import RefusedError
from portal.told import Logins

from unit.portal.running import HASH, PASSWORD, hashed

pytestmark = pytest.mark.timeout(20)
ARGON2 = "$argon2id$v=19${}$" + "A" * 22 + "$" + "A" * 43
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), b"$2b$04$" + b"abcdefghijklmnopqrstuu").decode()


@pytest.mark.parametrize("encoded", [HASH, BCRYPT, BCRYPT.replace("$2b$", "$2y$"), BCRYPT.replace("$2b$", "$2a$")])
def test_the_password_is_right_or_wrong(encoded: str) -> None:
    assert passwords.acceptable(encoded)
    assert passwords.verify(encoded, PASSWORD) is True
    for wrong in (PASSWORD + "x", PASSWORD[:-1], "", "ü" * 1024, "\x00", PASSWORD.upper()):
        assert passwords.verify(encoded, wrong) is False, wrong


@pytest.mark.parametrize(
    "encoded",
    [
        "$argon2id$v=19$m=65536,t=4,p=4$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 11 + "$" + "A" * 22,
        "$argon2id$v=19$m=8,t=1,p=1$" + "A" * 86 + "$" + "A" * 86,
        "$2y$12$" + "A" * 53,
    ],
)
def test_the_dearest_and_the_cheapest_are_taken(encoded: str) -> None:
    assert passwords.acceptable(encoded)


@pytest.mark.parametrize(
    "encoded",
    [
        ARGON2.format("m=8,t=1,p=2"),
        ARGON2.format("m=64,t=1,p=1").replace("v=19", "v=16"),
        ARGON2.format("m=64,t=0,p=1"),
        ARGON2.format("m=٨٨٨,t=1,p=1"),
        ARGON2.format("m=64,t=1,p=1").replace("A" * 22, "A" * 200, 1),
        HASH + "\n",
        " " + HASH,
        "$2b$12$" + "A" * 54,
        "$2x$12$" + "A" * 53,
    ],
)
def test_what_is_no_hash_of_ours_is_not_taken(encoded: str) -> None:
    assert not passwords.acceptable(encoded)


@pytest.mark.parametrize("encoded", [HASH, hashed("x", time=3), BCRYPT, "$2y$04$" + "A" * 53])
def test_a_stand_in_is_verified_at_the_same_cost_and_is_nobodys(encoded: str) -> None:
    made = passwords.alike(encoded)
    assert passwords.acceptable(made) and made != encoded and len(made) == len(encoded)
    assert (
        made.rsplit("$", 2 if encoded.startswith("$argon2") else 1)[0]
        == encoded.rsplit("$", 2 if encoded.startswith("$argon2") else 1)[0]
    )
    assert passwords.verify(made, PASSWORD) is False


@pytest.mark.parametrize(
    "encoded", ["$argon2id$v=19$m=8,t=1,p=1$" + "A" * 21 + "$" + "A" * 43, "$2b$04$" + "." * 52 + "/"]
)
def test_what_looks_like_a_hash_and_is_none_is_wrong_or_nobody_can_tell(encoded: str) -> None:
    with contextlib.suppress(UnverifiableError):
        assert passwords.verify(encoded, PASSWORD) is False


def test_another_seed_draws_other_stand_ins() -> None:
    logins = Logins("x", {("acme", f"u{number}"): hashed("x", time=number % 4 + 1) for number in range(4)})

    def drawn(seed: bytes) -> list[str]:
        """What twenty unknown users cost."""
        hashes = Hashes(logins, seed)
        return [hashes.stand_in(("acme", f"n{number}")).split("$")[3] for number in range(20)]

    assert drawn(b"a") == drawn(b"a") != drawn(b"b")


class Slow:
    """Verifies when the test says so; two threads wait in it at most."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most = self.now = 0
        self.go_on = threading.Semaphore(0)
        self.lock = threading.Lock()

    def check(self, encoded: str, password: str) -> bool:
        with self.lock:
            self.begun.append(password)
            self.now += 1
            self.most = max(self.most, self.now)
        self.go_on.acquire(timeout=10)
        with self.lock:
            self.now -= 1
        return True


async def test_two_at_once_and_communities_take_turns() -> None:
    slow = Slow()
    with ThreadPoolExecutor(2) as pool:
        verifier = Verifier(pool, slow.check)
        tasks = [asyncio.create_task(verifier.verify("noisy", "h", f"noisy{number}")) for number in range(10)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(verifier.verify("quiet", "h", "quiet")))
        await asyncio.sleep(0)
        slow.go_on.release(11)
        assert await asyncio.gather(*tasks) == [True] * 11
    assert slow.most == 2
    assert slow.begun.index("quiet") <= 3, "not behind all ten of the other one"


async def test_who_comes_too_late_is_refused_and_the_others_are_served() -> None:
    slow = Slow()
    with ThreadPoolExecutor(2) as pool:
        verifier = Verifier(pool, slow.check)
        tasks = [asyncio.create_task(verifier.verify("acme", "h", "x")) for _ in range(30)]
        await asyncio.sleep(0)
        other = asyncio.create_task(verifier.verify("globex", "h", "x"))
        await asyncio.sleep(0)
        slow.go_on.release(40)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert await other is True
    refused = [outcome for outcome in outcomes if isinstance(outcome, RefusedError)]
    assert len(refused) == 30 - 2 - passwords.MOST_WAITING_OF_ONE and outcomes.count(True) == 30 - len(refused)


async def test_one_that_fails_does_not_stop_the_next() -> None:
    def check(encoded: str, password: str) -> bool:
        if password == "bad":
            raise UnverifiableError("MemoryError")
        return True

    with ThreadPoolExecutor(2) as pool:
        verifier = Verifier(pool, check)
        outcomes = await asyncio.gather(
            *(verifier.verify("acme", "h", word) for word in ("bad", "bad", "bad", "good")), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [UnverifiableError] * 3 + [bool]
