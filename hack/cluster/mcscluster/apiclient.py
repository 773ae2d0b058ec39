"""A Kubernetes client of a few lines on the standard library: enough for health, watching and small changes."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from .certificates import Pki

Manifest = dict[str, Any]
PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """The API server refused; `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """Requests with one client certificate. Connection problems raise OSError or http.client.HTTPException."""

    def __init__(self, server: str, pki: Pki, user: str, timeout: float = 10) -> None:
        self._address = urlsplit(server)
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=str(pki.certificate("ca")))
        self._context.load_cert_chain(pki.certificate(user), pki.key(user))

    def get(self, path: str) -> Manifest:
        """A JSON document."""
        document: Manifest = json.loads(self._request("GET", path))
        return document

    def text(self, path: str) -> str:
        """A plain answer, such as /readyz."""
        return self._request("GET", path).decode()

    def post(self, path: str, body: Manifest) -> None:
        self._request("POST", path, body, "application/json")

    def patch(self, path: str, body: Manifest, kind: str = PATCH) -> None:
        self._request("PATCH", path, body, kind)

    def delete(self, path: str) -> None:
        self._request("DELETE", path)

    def watch(self, path: str, seconds: int) -> Iterator[Manifest]:
        """Events until the server ends the watch after `seconds`."""
        separator = "&" if "?" in path else "?"
        url = f"{path}{separator}watch=1&timeoutSeconds={seconds}"
        connection = self._connection(seconds + self._timeout)
        try:
            connection.request("GET", url)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise ApiError(answer.status, answer.read().decode(errors="replace"))
            for line in answer:
                yield json.loads(line)
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        host, port = self._address.hostname or "", self._address.port
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)

    def _request(self, method: str, path: str, body: Manifest | None = None, kind: str = "") -> bytes:
        connection = self._connection(self._timeout)
        try:
            payload = json.dumps(body) if body is not None else None
            connection.request(method, path, payload, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ApiError(answer.status, content.decode(errors="replace")[:500])
        return content


def answers(url: str) -> bool:
    """True when a health address on this machine says 200; its certificate is not checked: it is self-signed."""
    address = urlsplit(url)
    host, port = address.hostname or "", address.port
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=3, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A TCP port nobody listens on, from a range that clashes with no ephemeral port, NodePort or media port."""
    while True:
        port = 26000 + secrets.randbelow(4000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
