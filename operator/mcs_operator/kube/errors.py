"""What a request to the API server can end in: one type of exception, whatever the server or the way to it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from kubernetes.aio import config

_NO_RIGHT = re.compile(r'User ".*" cannot [a-z]+ resource "')
"""In the words of every authorizer; a quota, a range of limits and a policy have words of their own."""
_AGAINST_IT = re.compile(r" is forbidden: |denied the request")
"""In the words of every admission plugin, and of the API server about somebody's webhook. What is not valid in itself
``is invalid: ``."""
_OF_ADMISSION = (400, 403, 422)


class ApiError(Exception):
    """A request that did not succeed: the API server's refusal, or that no answer came. Nothing else is ever raised
    for what a server or the way to it does.

    ``status`` is the HTTP code, ``reason`` the API's word (``AlreadyExists``, ``Expired``…), ``retry_after`` seconds,
    ``causes`` the words of what is wrong in particular.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float | None = None,
        causes: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(f"{status} {reason}: {message[:500]}")
        self.status = status
        self.reason = reason
        self.message = message[:500]
        self.retry_after = retry_after
        self.causes = causes

    @property
    def namespace_ends(self) -> bool:
        """Whether nothing can be created any more because the whole namespace is on its way out."""
        return self.status == 403 and "it is being terminated" in self.message

    @property
    def lacks_right(self) -> bool:
        """Whether whoever asks may not ask for it at all, whatever it says."""
        return self.status == 403 and _NO_RIGHT.search(self.message) is not None

    @property
    def forbids(self) -> bool:
        """Whether a quota, a range of limits or a policy is against it, which only its owner can change.

        Not by the status alone: that of a ValidatingAdmissionPolicy is 422 where it gives no other, as of an object
        that is not valid, and that of a webhook 400.
        """
        if self.status not in _OF_ADMISSION or self.lacks_right or self.namespace_ends:
            return False
        return self.status == 403 or _AGAINST_IT.search(self.message) is not None


class NoAnswerError(ApiError):
    """No answer came, or none that can be read (``status`` 0): whether a write was done is not known."""

    def __init__(self, error: Exception) -> None:
        told = "time-out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        what = "the API server does not answer"
        if isinstance(error, config.ConfigException):
            what = "no credentials"
        elif isinstance(error, ValueError):
            what = "what answers is no API server"
        super().__init__(0, "NoAnswer", f"{what}: {told}")


class NotLeadingError(ApiError):
    """A write that was not sent, because another replica may lead by now (``status`` 0)."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "not sent: this replica does not hold the Lease")


@contextmanager
def answered() -> Iterator[None]:
    """Every failure of the transport, and every answer that is none, becomes the one exception that callers know.

    `aiohttp.ServerDisconnectedError` and the like are no OSError: whoever lists what can happen forgets one.
    """
    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError, config.ConfigException) as error:
        raise NoAnswerError(error) from error  # TimeoutError is an OSError; ValueError: what came is no JSON
