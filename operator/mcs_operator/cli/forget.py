"""`kubectl mcs forget`: erase at once what the portal keeps of one user.

The request is a line in the Community's passwords Secret, so that his name is where names may be, and nowhere else. It
has an id that is drawn at random; that the portal has done it, the Community's status says by this id.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from typing import Any

import click

from mcs_operator.api.erasure import ERASE_KEY, MOST, erasures_in
from mcs_operator.api.usersfile import is_user_name
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.cli.password import TRIES, check_label, new_secret, sources_of
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.parse.bounds import mapping, text
from mcs_operator.kube.resources import COMMUNITIES, SECRETS, Object

LOOK_EVERY = 1.0


def erase(access: Access, user: str, timeout: int) -> None:
    """Until the portal has done it. Raises UsageError, ClickException."""
    community, _, name = user.partition("/")
    if not community or not is_user_name(name):
        raise click.UsageError("name a Community and one of its users, such as acme/anna.rossi")

    async def asked(cluster: Cluster) -> None:
        source, request = await ask(cluster, community, name)
        click.echo(f"asked for in Secret {source}; waiting for the portal", err=True)
        await _done(cluster, community, request, timeout)
        await put(cluster, community, source, name, None)

    access.run(asked)
    click.echo(f"{user}: what the portal kept is erased", err=True)


async def ask(cluster: Cluster, community: str, name: str) -> tuple[str, str]:
    """Write the request; the Secret that it is in, and its id."""
    spec = mapping((await cluster.get(COMMUNITIES, community)).get("spec"))
    if not text(spec.get("portalDomain")) or spec.get("enabled") is False:
        raise click.ClickException(
            f"Community {community} has no portal that is served, and nobody who could erase anything; in the pod: "
            f"python3 -m portal forget {community}/<user>"
        )
    source, request = sources_of(spec, community)[0], secrets.token_hex(16)
    await put(cluster, community, source, name, request)
    return source, request


async def put(cluster: Cluster, community: str, source: str, name: str, request: str | None) -> None:
    """Write the request for this user in the place of those of before; None takes them away."""
    for left in reversed(range(TRIES)):
        body = await cluster.api.get(SECRETS, cluster.namespace, source)
        try:
            await _write(cluster, community, source, body, _lines(body or {}, name, request))
            return
        except ApiError as error:
            if error.status != 409 or not left:  # somebody else was quicker: his lines are kept
                raise


def _lines(body: Object, name: str, request: str | None) -> list[str]:
    kept = [f"{erasure.name}:{erasure.id}" for erasure in erasures_in(body) if erasure.name != name]
    if request and len(kept) >= MOST:
        raise click.ClickException(f"{MOST} requests are waiting already; what keeps the portal from doing them?")
    return [*kept, f"{name}:{request}"] if request else kept


async def _write(cluster: Cluster, community: str, source: str, body: Object | None, lines: list[str]) -> None:
    encoded = base64.b64encode("".join(f"{line}\n" for line in lines).encode()).decode() if lines else None
    if body is None:
        if encoded:
            await cluster.api.create(SECRETS, new_secret(cluster.namespace, source, community, {ERASE_KEY: encoded}))
        return
    check_label(cluster, source, body, community)
    patch: dict[str, Any] = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"]}}
    await cluster.api.merge(SECRETS, cluster.namespace, source, patch | {"data": {ERASE_KEY: encoded}})


async def _done(cluster: Cluster, community: str, request: str, timeout: int) -> None:
    """Until the portal says so. Raises ClickException where that takes too long."""
    begun = time.monotonic()
    while True:
        erased = mapping((await cluster.get(COMMUNITIES, community)).get("status")).get("erased")
        if isinstance(erased, list) and request in erased:
            return
        if time.monotonic() - begun > timeout:
            raise click.ClickException(
                f"not confirmed after {timeout} s, and asked for still. A media image of before this request does not "
                f"know it; see whether the instance is Ready, and call this command again"
            )
        await asyncio.sleep(LOOK_EVERY)
