"""The floor: aiohttp and nothing else, which writes whatever it is given as fast as the API server takes it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from kubernetes import config

from support.api import Object
from support.objects import API_VERSION

AGENT = "mcs-bench"
IN_FLIGHT = 16
"""As many requests at once as the operator allows itself."""

_PLURALS = {"MCSInstance": "mcsinstances", "Community": "communities", "TVoxLink": "tvoxlinks"}


@dataclass(frozen=True)
class Request:
    """One request. ``path`` is below the server's address."""

    method: str
    path: str
    body: Object | None = None
    content_type: str = "application/json"


class RefusedError(Exception):
    """An answer other than success."""

    def __init__(self, request: Request, status: int, text: str) -> None:
        super().__init__(f"{request.method} {request.path}: {status} {text}")
        self.status = status


class Raw:
    """A client without objects, retries and limits but one: ``in_flight``. An answer other than success raises."""

    def __init__(self, kubeconfig: Path, in_flight: int = IN_FLIGHT, agent: str = AGENT) -> None:
        self._kubeconfig, self._agent = kubeconfig, agent
        self._slots = asyncio.Semaphore(in_flight)

    async def __aenter__(self) -> Self:
        known = config.new_client_from_config(config_file=str(self._kubeconfig)).configuration
        context = ssl.create_default_context(cafile=known.ssl_ca_cert)
        if known.cert_file:
            context.load_cert_chain(known.cert_file, known.key_file)
        token = known.get_api_key_with_prefix("BearerToken") or known.get_api_key_with_prefix("authorization")
        headers = {"User-Agent": self._agent} | ({"Authorization": token} if token else {})
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._session = aiohttp.ClientSession(known.host, connector=connector, headers=headers)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self._session.close()

    async def call(self, request: Request) -> Any:
        """Send one; its answer. RefusedError where it is not success."""
        async with self._slots:
            headers = {"Content-Type": request.content_type}
            body = {"json": request.body} if request.body is not None else {}
            async with self._session.request(request.method, request.path, headers=headers, **body) as answer:
                if answer.status >= 400:
                    raise RefusedError(request, answer.status, await answer.text())
                return await answer.json()

    async def text(self, path: str) -> str:
        """What is at a path, as it is."""
        async with self._session.get(path) as answer:
            return await answer.text()

    async def remove(self, namespace: str, kind: str, name: str) -> None:
        """Delete one object; gone already is well."""
        try:
            await self.call(Request("DELETE", f"{collection(namespace, kind)}/{name}"))
        except RefusedError as refused:
            if refused.status != 404:
                raise

    async def all(self, requests: Iterable[Request]) -> list[Any]:
        """Send all of them, ``in_flight`` at a time; their answers."""
        return await asyncio.gather(*(self.call(request) for request in requests))

    async def list(self, path: str) -> list[Object]:
        """All objects below a path."""
        items: list[Object] = (await self.call(Request("GET", path)))["items"]
        return items

    async def read_pages(self, path: str) -> int:
        """Read a list page by page, and keep nothing of it; how many objects it had."""
        count, following = 0, ""
        while True:
            page = await self.call(Request("GET", f"{path}&continue={quote(following)}" if following else path))
            count += len(page["items"])
            following = page["metadata"].get("continue", "")
            if not following:
                return count


def creation(namespace: str, body: Object) -> Request:
    """The request that creates one of our objects, or a Secret."""
    return Request("POST", collection(namespace, body["kind"]), body)


def collection(namespace: str, kind: str) -> str:
    """Path of all objects of a kind in a namespace."""
    if kind == "Secret":
        return f"/api/v1/namespaces/{namespace}/secrets"
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{_PLURALS[kind]}"


def change(namespace: str, kind: str, name: str, patch: Object, sub: str = "") -> Request:
    """A JSON merge patch of one object, or of its subresource ``/status``."""
    return Request("PATCH", f"{collection(namespace, kind)}/{name}{sub}", patch, "application/merge-patch+json")
