"""A customer's portal in the pod, and people who use it: each one a page in a real browser."""

from __future__ import annotations

import functools
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import aiohttp.abc
import argon2
import pytest

from support import people
from support.api import Api, Object
from support.browser import GIVING, beside, host_beside, launched
from support.certificates import chain, key, text_of
from support.cluster import Node
from support.lab import Namespace
from support.mcs import COMMUNITY, Mcs, standing
from support.objects import a_community
from support.people import Person

playwright = pytest.importorskip("playwright.async_api", reason="not installed: playwright")

PASSWORD = "correct horse battery"
ALL = ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"]
CONNECTIONS = "http://127.0.0.1:21000/connections"
"""What the appliance tells the agent, among others how many there are in calls."""


def host(mcs: Mcs, name: str = COMMUNITY) -> str:
    """The name of a customer's portal."""
    return f"meet-{name}.{mcs.node.zone}"


@contextmanager
def with_portal(node: Node, server: Api, users: dict[str, list[str]], **spec: Any) -> Iterator[Mcs]:
    """An instance whose Community has a portal, where these people can log in and may do that."""
    with standing(node, server, **spec) as mcs:
        mcs.api.apply(
            _secret(
                "meet-tls", "kubernetes.io/tls", {"tls.crt": chain(f"*.{mcs.node.zone}"), "tls.key": text_of(key())}
            ),
            *community(mcs, users),
        )
        mcs.api.wait_condition("Community", COMMUNITY, "LoginReady", "True", timeout=60)
        yield mcs


def community(mcs: Mcs, functions: dict[str, list[str]], name: str = COMMUNITY) -> tuple[Object, Object]:
    """A customer with these people and what each may do, and their passwords. All portals have one certificate."""
    passwords = f"{name}-passwords"
    return (
        _secret(passwords, "Opaque", {".htpasswd": _passwords(tuple(functions))}, name),
        a_community(
            name,
            users=[{"name": user, "functions": allowed} for user, allowed in functions.items()],
            portalDomain=host(mcs, name),
            tls={"secretRef": {"name": "meet-tls"}},
            authentication={"passwordsFrom": [{"secretRef": {"name": passwords}}]},
        ),
    )


def _secret(name: str, type: str, data: dict[str, str], community: str = "") -> Object:
    labels = {"mcs.tvox.io/passwords": community} if community else {}
    encoded = {file: b64encode(text.encode()).decode() for file, text in data.items()}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type, "data": encoded}


@functools.cache
def _passwords(users: tuple[str, ...]) -> str:
    """The same for the same, or each change of somebody's functions would be one of all logins."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
    return "".join(f"{user}:{hasher.hash(PASSWORD)}\n" for user in users)


@asynccontextmanager
async def a_browser(mcs: Mcs, *flags: str, at: str = "") -> AsyncIterator[Any]:
    """Outside of the node. It finds the portal there, or at this public address, and gives microphone and camera."""
    with beside(mcs.node.ip) as program:
        async with launched(GIVING, found_at(mcs, at), *flags, program=program) as browser:
            yield browser


@asynccontextmanager
async def a_browser_that_moves(mcs: Mcs, number: int) -> AsyncIterator[tuple[Any, Namespace]]:
    """One on a host that is its own, which can come to another network."""
    with host_beside(mcs.node.ip, number) as (host, program):
        async with launched(GIVING, found_at(mcs), "--ignore-certificate-errors", program=program) as browser:
            yield browser, host


def found_at(mcs: Mcs, address: str = "") -> str:
    """A browser's flag: where all names of the instance are, at the node or at this address."""
    return f"--host-resolver-rules=MAP *.{mcs.node.zone} {address or mcs.node.ip}"


async def sign_in(browser: Any, mcs: Mcs, name: str, script: str = "") -> Person:
    """One of the first customer's people."""
    return await people.sign_in(browser, host(mcs), name, PASSWORD, script=script)


class Outsider:
    """Asks at the portals without any page."""

    def __init__(self, mcs: Mcs) -> None:
        self.mcs = mcs

    async def __aenter__(self) -> Outsider:
        connector = aiohttp.TCPConnector(ssl=False, resolver=_AtNode(self.mcs.node.ip))
        self.session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def sign_in(self, user: str, community: str) -> str:
        """His cookie."""
        at = f"https://{host(self.mcs, community)}"
        said = {"user": user, "password": PASSWORD}
        async with self.session.post(f"{at}/api/login", json=said, headers={"Origin": at}) as answer:
            assert answer.status == 204, f"{user} at {at}: {answer.status}"
            return answer.cookies["__Host-session"].value

    async def ask(self, method: str, path: str, cookie: str | None, origin: str, said: Object | None) -> int:
        """Status of this request to the portal of the first community; WS: of opening a socket there."""
        url = f"https://{host(self.mcs)}{path}"
        headers = _from(origin, cookie)
        if method != "WS":
            async with self.session.request(method, url, headers=headers, json=said) as answer:
                return answer.status
        try:
            async with self.session.ws_connect(url, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refused:
            return refused.status

    async def send_file(self, cookie: str, to: str) -> str:
        """Its id. To one of the first community, from the one whose cookie this is."""
        own = host(self.mcs)
        url = f"https://{own}/api/conversations/{to}/files?name=a.txt"
        async with self.session.post(url, headers=_from(own, cookie), data=b"content") as answer:
            assert answer.status == 201, f"to {to}: {answer.status}"
            return str((await answer.json())["id"])


def _from(origin: str, cookie: str | None) -> dict[str, str]:
    """What a browser adds to a request of a page of this host."""
    return {"Origin": f"https://{origin}"} | ({"Cookie": f"__Host-session={cookie}"} if cookie else {})


class _AtNode(aiohttp.abc.AbstractResolver):
    """All names are the node's."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        found = {"hostname": host, "host": self.address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
        return [aiohttp.abc.ResolveResult(**found)]  # type: ignore[typeddict-item]

    async def close(self) -> None:
        pass
