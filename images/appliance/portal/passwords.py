"""WHO IS IT: passwords against hashes. Hashes are a tenant's input: what they cost is bounded, and shared fairly.

Two are verified at once, in threads, and communities take turns: one that logs in a thousand users at once delays
itself. A user who is not there is verified as well, against a hash that costs what another user's costs.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial

import bcrypt
from argon2 import low_level
from argon2.exceptions import VerifyMismatchError

from portal.refusals import RefusedError
from portal.told import Key, Logins

LONGEST = 1024
AT_ONCE = 2
MOST_WAITING, MOST_WAITING_OF_ONE = 64, 16
_ARGON2_KIB, _ARGON2_TIME, _ARGON2_LANES = 64 * 1024, 4, 4
_BCRYPT_COST = 12
_BCRYPT_BYTES = 72
"""bcrypt knows the first 72 bytes of a password; htpasswd and the others leave out the rest as well."""
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})", re.ASCII
)
_BCRYPT = re.compile(r"\$2([aby])\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_USUAL = "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + "A" * 43
"""What an unknown user costs in a community that has no login at all."""


class UnverifiableError(Exception):
    """There was no memory for it, or it was not tried any more: neither right nor wrong."""


def acceptable(encoded: str) -> bool:
    """Whether the hash is one that we know and that costs no more than it may."""
    if match := _ARGON2.fullmatch(encoded):
        memory, time, lanes = (int(match[number]) for number in (1, 2, 3))
        return 8 * lanes <= memory <= _ARGON2_KIB and 1 <= time <= _ARGON2_TIME and 1 <= lanes <= _ARGON2_LANES
    match = _BCRYPT.fullmatch(encoded)
    return bool(match and 4 <= int(match[2]) <= _BCRYPT_COST)


def verify(encoded: str, password: str) -> bool:
    """Whether it is the password. Takes the time that the hash asks for; raises UnverifiableError and nothing else."""
    secret = password.encode()
    try:
        if encoded.startswith("$argon2id$"):
            return bool(low_level.verify_secret(encoded.encode(), secret, low_level.Type.ID))
        return bcrypt.checkpw(secret[:_BCRYPT_BYTES], encoded.encode())
    except VerifyMismatchError:
        return False
    except Exception as why:  # foreign bytes in two foreign libraries
        raise UnverifiableError(type(why).__name__) from None


def alike(encoded: str) -> str:
    """A hash of nothing that takes as long to verify."""
    if match := _ARGON2.fullmatch(encoded):
        salt, digest = (secrets.token_hex(64)[: len(match[number])] for number in (4, 5))
        return encoded[: match.start(4)] + _whole(salt) + "$" + _whole(digest)
    return encoded[:7] + bcrypt.gensalt(4).decode()[7:] + secrets.token_hex(31)[:31]


def _whole(digits: str) -> str:
    """As base64 without padding: its last digit must have no bits that are no byte's."""
    return digits[:-1] + "A"


class Hashes:
    """The hashes of the logins in force, and for an unknown user one that costs as much as some known user's."""

    def __init__(self, logins: Logins, seed: bytes) -> None:
        self._seed = seed
        self._of = {key: encoded for key, encoded in logins.hashes.items() if acceptable(encoded)}
        self._samples: dict[str, list[str]] = {}
        for (community, _), encoded in sorted(self._of.items()):
            self._samples.setdefault(community, []).append(encoded)

    def known(self) -> Iterable[Key]:
        """Who can log in, if he is served."""
        return self._of.keys()

    def of(self, key: Key) -> str | None:
        return self._of.get(key)

    def proof(self, key: Key) -> str | None:
        """What tells one password of a user from his next one, and nothing about it."""
        encoded = self._of.get(key)
        return None if encoded is None else hashlib.sha256(encoded.encode()).hexdigest()

    def stand_in(self, key: Key) -> str:
        """The same user, the same cost, each time: as if he were there."""
        samples = self._samples.get(key[0])
        if not samples:
            return alike(_USUAL)
        drawn = hashlib.sha256(self._seed + "/".join(key).encode()).digest()
        return alike(samples[int.from_bytes(drawn[:8], "big") % len(samples)])


class Verifier:
    """Two at once; who waits is served community by community in turn."""

    def __init__(self, pool: Executor, check: Callable[[str, str], bool] = verify) -> None:
        self._pool = pool
        self._check = check
        self._waiting: OrderedDict[str, deque[tuple[str, str, asyncio.Future[bool]]]] = OrderedDict()
        self._running = 0

    async def verify(self, community: str, encoded: str, password: str) -> bool:
        """Raises RefusedError when too many wait, UnverifiableError when nobody can tell."""
        queue = self._waiting.get(community, ())
        if len(queue) >= MOST_WAITING_OF_ONE or sum(map(len, self._waiting.values())) >= MOST_WAITING:
            raise RefusedError("too-many", 2)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(community, deque()).append((encoded, password, answer))
        self._next()
        return await answer

    def _next(self) -> None:
        while self._running < AT_ONCE and self._waiting:
            community, queue = self._waiting.popitem(last=False)
            encoded, password, answer = queue.popleft()
            if queue:
                self._waiting[community] = queue  # at the end: the others come first
            if answer.done():
                continue
            self._running += 1
            work = asyncio.get_running_loop().run_in_executor(self._pool, self._check, encoded, password)
            work.add_done_callback(partial(self._done, answer))

    def _done(self, answer: asyncio.Future[bool], work: asyncio.Future[bool]) -> None:
        self._running -= 1
        why = None if work.cancelled() else work.exception()
        if not answer.done():
            if work.cancelled() or why is not None:
                answer.set_exception(why or UnverifiableError("stopped"))
            else:
                answer.set_result(work.result())
        self._next()
