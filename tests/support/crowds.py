"""Many appliances at once: namespaces with an instance, a community and up to 250 links each, at public names of
their own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from support.api import Object
from support.objects import a_community, a_link, an_instance
from support.quota import LINKS, QUOTA
from support.raw import Raw, Request, creation


def namespace_name(number: int) -> str:
    """Name of the namespace of one of many appliances."""
    return f"mcs-bench-{number:03d}"


def link_named(namespace: str, name: str) -> Object:
    """A link whose public name nobody has in another namespace."""
    return a_link(name, domain=f"{name}.{namespace}.test")


def link_names(count: int) -> list[str]:
    """Names of the first so many links."""
    return [f"c{number:03d}" for number in range(count)]


def appliance(namespace: str) -> list[Object]:
    """An instance of full size, and a community with a few users."""
    return [
        an_instance(domain=f"{namespace}.test", vpn={"slots": 250}),
        a_community(users=("anna", "bert", "carl")),
    ]


async def create_namespaces(raw: Raw, names: Iterable[str]) -> None:
    """Namespaces with Pod Security as the media pod needs it."""
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    bodies = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}} for name in names]
    await raw.all(Request("POST", "/api/v1/namespaces", body) for body in bodies)


async def create_links(raw: Raw, namespace: str, names: Iterable[str]) -> None:
    """These links, all at once."""
    await raw.all(creation(namespace, link_named(namespace, name)) for name in names)


async def create_appliance(raw: Raw, namespace: str) -> None:
    """The instance and its community."""
    await raw.all(creation(namespace, body) for body in appliance(namespace))


async def room_for_one(raw: Raw, namespace: str, timeout: float = 300) -> None:
    """Wait until the API server has noticed that a link is gone: it counts them, and takes no more than 250.

    The first time that takes minutes on a new server, until its quota controller has found our kinds.
    """
    path = f"/api/v1/namespaces/{namespace}/resourcequotas/{QUOTA}"
    async with asyncio.timeout(timeout):
        while int((await raw.call(Request("GET", path)))["status"]["used"][LINKS]) >= 250:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # no event: another process counts
