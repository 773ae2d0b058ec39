"""Commands that show what there is: status, links, interruptions, profile."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcs_operator.cli.options import all_namespaces, link_argument, names_of, on_cluster, output_format

if TYPE_CHECKING:
    from mcs_operator.cli.access import Access, Cluster


@click.command()
@click.argument("instance", required=False, shell_complete=names_of("mcsinstances"))
@all_namespaces
@output_format
@on_cluster
def status(access: Access, instance: str | None, everywhere: bool, output: str) -> None:
    """Show the health of the MCS in this namespace, and the customers that need attention.

    Exit code 1 if something needs attention, or if there is no MCS.
    """
    from mcs_operator.cli.health import health_of
    from mcs_operator.cli.output import structured

    if instance and everywhere:
        raise click.UsageError("name an instance, or look in every namespace: not both")

    found = access.everywhere(everywhere).run(lambda cluster: health_of(cluster, instance))
    click.echo(found.as_text() if output == "table" else structured(found.instances, output))
    if not found.is_well:
        sys.exit(1)


@click.command()
@all_namespaces
@output_format
@on_cluster
def links(access: Access, everywhere: bool, output: str) -> None:
    """Show all TVoxLinks of the namespace, with the state of their tunnels."""
    from mcs_operator.cli import views
    from mcs_operator.cli.output import show
    from mcs_operator.kube.resources import LINKS

    async def look(cluster: Cluster) -> list[dict[str, Any]]:
        return [_in_namespace(body, everywhere) | views.link_row(body) for body in await cluster.list(LINKS)]

    show(access.everywhere(everywhere).run(look), output)


@click.command()
@all_namespaces
@output_format
@on_cluster
def interruptions(access: Access, everywhere: bool, output: str) -> None:
    """Show the last ten interruptions that the operator made: why, from when to when, and whom they cost what."""
    from mcs_operator.cli import views
    from mcs_operator.cli.output import show
    from mcs_operator.kube.resources import INSTANCES

    async def look(cluster: Cluster) -> list[dict[str, Any]]:
        found = await cluster.list(INSTANCES)
        return [_in_namespace(body, everywhere) | row for body in found for row in views.interruption_rows(body)]

    show(access.everywhere(everywhere).run(look), output)


def _in_namespace(body: dict[str, Any], everywhere: bool) -> dict[str, Any]:
    return {"namespace": body["metadata"]["namespace"]} if everywhere else {}


@click.command()
@link_argument
@click.option("--file", "target", type=click.Path(dir_okay=False, writable=True), help="Default: standard output.")
@on_cluster
def profile(access: Access, link: str, target: str | None) -> None:
    """Show the OpenVPN profile of one link, ready to upload to its TVox. It holds a private key."""
    from mcs_operator.cli import views
    from mcs_operator.kube.resources import LINKS, SECRETS

    async def fetch(cluster: Cluster) -> str:
        await cluster.get(LINKS, link)
        secret = await cluster.get(SECRETS, f"{link}-profile")
        entry = views.profile_of(secret, link)
        if entry is None:
            raise click.ClickException(f"Secret {link}-profile has no entry {link}.ovpn; is it the operator's?")
        return entry

    text = access.run(fetch)
    if target is None:
        click.echo(text, nl=False)
        return
    place = Path(target)
    place.touch(mode=0o600)
    place.chmod(0o600)
    place.write_text(text)
    click.echo(f"{target}: written, readable by you only", err=True)
