"""HTTP to an ACME server: every request, and all that comes back, has an end.

Python's `requests` waits for each packet alone, and reads what there is: a server that sends a byte a second, or a
gigabyte, would hold a thread for ever, or all of the memory.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import certifi
import requests
from acme import client, messages
from requests.adapters import HTTPAdapter

LONGEST_BODY = 256 * 1024
"""Bytes. The longest chain that an appliance takes has 30,000."""
REQUEST_SECONDS = 30.0
NONCES = 10
"""Tries with a nonce that the server does not take; a replica behind a load balancer may not know it yet."""
_CHUNK = 16 * 1024
_ASKS_TO_WAIT = (429, 503)


class StoppedError(Exception):
    """Nothing is to be sent any more: another operator leads, or what was ordered is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Until when (of the monotonic clock) an order has to be done, and whether it may go on."""

    until: float
    may_go: Callable[[], bool]

    def left(self) -> float:
        """Seconds left; raises where there are none."""
        if not self.may_go():
            raise StoppedError
        if (left := self.until - time.monotonic()) <= 0:
            raise requests.Timeout("the order takes too long")
        return left


class _Adapter(HTTPAdapter):
    """Trusts the CAs of a context and no others: requests would add the public ones to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


class Session(requests.Session):
    """Follows no redirect, speaks https alone, and ends with its limits."""

    def __init__(self, context: ssl.SSLContext, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self.mount("https://", _Adapter(context))

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """One request with its whole answer."""
        if not str(url).startswith("https://"):
            raise requests.exceptions.InvalidURL("the server names an address that is not https")
        kwargs |= {"stream": True, "allow_redirects": False}
        kwargs["timeout"] = min(REQUEST_SECONDS, self._limits.left())
        response = super().request(method, url, *args, **kwargs)
        try:
            response._content = self._body(response)
        finally:
            response.close()
        return response

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        while part := response.raw.read1(_CHUNK, decode_content=True):  # what there is: no wait until it is so much
            body += part
            if len(body) > LONGEST_BODY:
                raise requests.exceptions.ContentDecodingError(f"an answer has more than {LONGEST_BODY} bytes")
            self._limits.left()
        return bytes(body)


class Network(client.ClientNetwork):
    """The library's, with an end to everything. ``again``: when the last answer, an error, asks to come again."""

    def __init__(self, key: Any, algorithm: Any, context: ssl.SSLContext, limits: Limits, account: Any = None) -> None:
        super().__init__(key, account=account, alg=algorithm, user_agent="mcs-operator")
        self.session.close()
        self.session = Session(context, limits)
        self.again: datetime | None = None

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        response = super()._send_request(method, url, *args, **kwargs)
        asked = response.headers.get("Retry-After") if response.status_code in _ASKS_TO_WAIT else None
        self.again = _moment(asked) if asked else None
        return response

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """As the library's, which tries a second nonce and no third."""
        for _ in range(NONCES - 1):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return self._post_once(*args, **kwargs)


def trusting(ca_pem: str) -> ssl.SSLContext:
    """A client's context that trusts these CAs, or the public ones. ValueError for what are none."""
    if not ca_pem:
        return ssl.create_default_context(cafile=certifi.where())
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except ssl.SSLError:
        raise ValueError("spec.tls.acme.caBundle has no certificate in PEM form (in base64)") from None


def _moment(asked: str) -> datetime | None:
    """Retry-After: seconds, or a date."""
    try:
        if asked.isdecimal():
            return datetime.now(UTC) + timedelta(seconds=min(int(asked[:9]), 10**8))
        return parsedate_to_datetime(asked).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
