"""Who may read the metrics: the API server is asked who a token is (TokenReview) and what he may (SubjectAccessReview).

Both are creates that store nothing, so they are no writes. Their answers are remembered for as long as
controller-runtime remembers them, by a hash of the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

from mcs_operator.kube.client import Api
from mcs_operator.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Object, Resource

ALLOWED_SECONDS = 60.0
REFUSED_SECONDS = 10.0
"""Short: whoever was just given the right does not wait for long."""
MOST_REMEMBERED = 256
AT_ONCE = 4
LONGEST_TOKEN = 8192


class Reviews:
    """Asks about ``get`` of one path, such as /metrics. ``clock`` is monotonic, in seconds."""

    def __init__(self, api: Api, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._path, self._clock = api, path, clock
        self._known: OrderedDict[bytes, tuple[bool | None, float]] = OrderedDict()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def allows(self, token: str) -> bool | None:
        """None where nobody has this token; else whether he may. Raises what the client raises where nobody answers."""
        if not token or len(token) > LONGEST_TOKEN or not token.isascii():
            return None
        key = hashlib.sha256(token.encode()).digest()
        found = self._remembered(key)
        if found is None:
            async with self._turns:  # whoever waited here may find that another one has asked
                found = self._remembered(key) or await self._ask(key, token)
        return found[0]

    def _remembered(self, key: bytes) -> tuple[bool | None, float] | None:
        found = self._known.get(key)
        return found if found and found[1] > self._clock() else None

    async def _ask(self, key: bytes, token: str) -> tuple[bool | None, float]:
        user = await self._user(token)
        allowed = None if user is None else await self._may(user)
        verdict = allowed, self._clock() + (ALLOWED_SECONDS if allowed else REFUSED_SECONDS)
        self._known[key] = verdict
        self._known.move_to_end(key)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return verdict

    async def _user(self, token: str) -> Object | None:
        status = await self._review(TOKEN_REVIEWS, {"token": token})
        user = status.get("user")
        return user if status.get("authenticated") is True and isinstance(user, dict) else None

    async def _may(self, user: Object) -> bool:
        who = {key: user[key] for key in ("groups", "uid", "extra") if user.get(key)}
        what = {"path": self._path, "verb": "get"}
        spec = {"user": user.get("username", ""), **who, "nonResourceAttributes": what}
        return (await self._review(SUBJECT_ACCESS_REVIEWS, spec)).get("allowed") is True

    async def _review(self, resource: Resource, spec: Object) -> Object:
        status = (await self._api.review(resource, spec)).get("status")
        return status if isinstance(status, dict) else {}
