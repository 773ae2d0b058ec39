"""Ask the operator for something by an annotation, and follow what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import click

from mcs_operator.cli import views
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.kube.resources import Object, Resource
from mcs_operator.timestamps import rfc3339

LOOK_EVERY = 1.0
"""Seconds between two looks at what is waited for."""


def get(access: Access, resource: Resource, name: str) -> Object:
    """One object."""

    async def fetch(cluster: Cluster) -> Object:
        return await cluster.get(resource, name)

    return access.run(fetch)


def ask(access: Access, resource: Resource, name: str, annotation: str) -> None:
    """Set an annotation that asks for something as of now."""
    moment = rfc3339(datetime.now(UTC))

    async def annotate(cluster: Cluster) -> None:
        await cluster.annotate(resource, name, annotation, moment)

    access.run(annotate)
    click.echo(f"{resource.kind} {name}: {annotation}={moment}", err=True)


def await_change(access: Access, resource: Resource, name: str, done: Callable[[Object], bool], timeout: int) -> None:
    """Look until it is done, and say whatever changes meanwhile; exit code 1 where it takes too long."""

    async def follow(cluster: Cluster) -> None:
        begun, told = time.monotonic(), ""
        while not done(body := await cluster.get(resource, name)):
            waited = time.monotonic() - begun
            if waited > timeout:
                raise click.ClickException(f"not done after {timeout} s: {told or 'nothing is reported'}")
            now = "; ".join(views.progress(body))
            if now != told:
                click.echo(f"{waited:5.0f} s  {now or 'waiting'}", err=True)
                told = now
            await asyncio.sleep(LOOK_EVERY)
        click.echo(f"{time.monotonic() - begun:5.0f} s  done", err=True)

    access.run(follow)
