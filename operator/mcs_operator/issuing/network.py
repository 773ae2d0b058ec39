"""HTTP to an ACME server: every request, and all that comes back, has an end.

Python's `requests` waits for each packet alone, and reads what there is: a server that sends a byte a second, or a
gigabyte, would hold a thread for ever, or all of the memory. So would a name with a thousand addresses at which nobody
answers.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import certifi
import requests
import urllib3
from acme import client, messages
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

LONGEST_BODY = 64 * 1024
"""Bytes. The longest chain that an appliance takes has 30,000. A parser of JSON does not let go of the interpreter:
with four times as much it took all that the event loop may wait."""
MOST_REQUESTS = 250
"""Of one order, which looks once a second for three minutes; one that says "ask again at once" has thousands made."""
MOST_BYTES = 1024 * 1024
"""Of one order, as they come in and as they are unpacked: the library keeps all that it was told, such as 5,000
authorizations, and reads for ever where a server says "go on" before each answer."""
MOST_ADDRESSES = 4
"""Of one name, that are tried."""
REQUEST_SECONDS = 30.0
NONCES = 10
"""Tries with a nonce that the server does not take; a replica behind a load balancer may not know it yet."""
_CHUNK = 16 * 1024
_ASKS_TO_WAIT = (429, 503)


class StoppedError(Exception):
    """Nothing is to be sent any more: another operator leads, or what was ordered is not wanted any more."""


@dataclass(slots=True)
class Limits:
    """Until when (of the monotonic clock) an order has to be done, whether it may go on, and what is left to it.

    ``loopback``: whether a server may be on this machine, which in a pod is the operator itself.
    """

    until: float
    may_go: Callable[[], bool]
    loopback: bool = False
    requests: int = field(default_factory=lambda: MOST_REQUESTS)
    bytes: int = MOST_BYTES

    def left(self) -> float:
        """Seconds for what is to be waited for next; raises where there are none."""
        if not self.may_go():
            raise StoppedError
        if (left := self.until - time.monotonic()) <= 0:
            raise requests.Timeout("the order takes too long")
        return min(REQUEST_SECONDS, left)

    def count_request(self) -> None:
        """Raises where it is one too many."""
        self.requests -= 1
        if self.requests < 0:
            raise requests.ConnectionError(f"the server has more than {MOST_REQUESTS} requests made for one order")

    def count_bytes(self, number: int) -> None:
        """Raises where they are too many."""
        self.bytes -= number
        if self.bytes < 0:
            raise requests.ConnectionError(f"the server sends more than {MOST_BYTES} bytes for one order")


class _Socket(ssl.SSLSocket):
    """Waits for each packet no longer than the order may take, and counts it: also those of a head, which Python reads
    alone."""

    limits: Limits

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.limits.left())
        number = super().recv_into(*args, **kwargs)
        self.limits.count_bytes(number)
        return number


class _Connection(HTTPSConnection):
    """To a few addresses of a name, one after the other, and to none that is no server's.

    The proxy is the operator's own, wherever it is.
    """

    limits: Limits

    def _new_conn(self) -> socket.socket:
        if self.proxy is not None:
            return super()._new_conn()
        host, port = self._dns_host, self.port or 443
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise requests.ConnectionError(f"{host} has no address: {error}") from None
        failed = "no address"
        for *_, address in found[:MOST_ADDRESSES]:
            if why := forbidden(str(address[0]), self.limits.loopback):
                failed = f"{host} leads to {why}, where no server is asked"
                continue
            try:
                return socket.create_connection((str(address[0]), port), self.limits.left())
            except requests.RequestException:
                raise
            except OSError as error:
                failed = str(error)
        raise requests.ConnectionError(failed)


def forbidden(address: str, loopback: bool) -> str:
    """Why nobody connects there whom a tenant asks to; empty for any other. What a node tells its own pods alone, its
    credentials in some clouds, is at a link-local address; in a pod loopback is the operator."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    known = mapped or found
    if known.is_link_local:
        return "a link-local address"
    if known.is_multicast or known.is_unspecified:
        return "no address of a host"
    return "a loopback address" if known.is_loopback and not loopback else ""


class _Adapter(HTTPAdapter):
    """Trusts the CAs of a context and no others: requests would add the public ones to it."""

    def __init__(self, context: ssl.SSLContext, limits: Limits) -> None:
        context.sslsocket_class = type("Socket", (_Socket,), {"limits": limits})
        connection = type("Connection", (_Connection,), {"limits": limits})
        self._context, self._pool = context, type("Pool", (HTTPSConnectionPool,), {"ConnectionCls": connection})
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {"https": self._pool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs, ssl_context=self._context)
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": self._pool}
        return manager

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


class Session(requests.Session):
    """Follows no redirect, speaks https alone, and ends with its limits."""

    def __init__(self, context: ssl.SSLContext, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self.mount("https://", _Adapter(context, limits))

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """One request with its whole answer."""
        if not str(url).startswith("https://"):
            raise requests.exceptions.InvalidURL("the server names an address that is not https")
        self._limits.count_request()
        kwargs |= {"stream": True, "allow_redirects": False}
        kwargs["timeout"] = self._limits.left()
        response = super().request(method, url, *args, **kwargs)
        try:
            response._content = self._body(response)
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        finally:
            response.close()
        return response

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        while part := response.raw.read1(_CHUNK, decode_content=True):  # what there is: no wait until it is so much
            body += part
            self._limits.count_bytes(len(part))
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
