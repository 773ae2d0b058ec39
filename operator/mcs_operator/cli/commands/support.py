"""Commands for planning and for support: size, support-bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcs_operator.cli.options import on_cluster, output_format

if TYPE_CHECKING:
    from mcs_operator.cli.access import Access, Cluster
    from mcs_operator.cli.bundle import Bundle


@click.command()
@click.argument("users", type=click.IntRange(min=1))
@click.option("--links", type=click.IntRange(min=0), default=0, show_default=True, help="TVoxes, one per customer.")
@click.option(
    "--connections", type=click.IntRange(min=0), default=0, help="At the same time. Default: as many as the tier has."
)
@output_format
def size(users: int, links: int, connections: int, output: str) -> None:
    """Show which tier and Internet band so many USERS active at the same time need. Needs no cluster.

    Active are users of APPs, WEB clients and Widgets; an active connection takes about 60 KB/s.
    """
    from mcs_operator.cli import views
    from mcs_operator.cli.output import structured
    from mcs_operator.domain.rules.advice import advise

    advice = advise(users, links, connections)
    click.echo(views.advice_text(advice) if output == "table" else structured(views.advice_data(advice), output))


@click.command("support-bundle")
@click.option("--file", "target", type=click.Path(dir_okay=False, writable=True), help="Default: a name with the time.")
@click.option("--operator-namespace", default="mcs-system", show_default=True, metavar="NAME", help="The operator's.")
@click.option("--lines", default=500, show_default=True, type=click.IntRange(min=1), help="Of each log.")
@on_cluster
def support_bundle(access: Access, target: str | None, operator_namespace: str, lines: int) -> None:
    """Collect objects, Events and logs of the namespace in one archive, without secrets and names of users.

    Look at it before you send it: it has domains, addresses and names of customers.
    """
    from datetime import UTC, datetime
    from importlib.metadata import version

    from mcs_operator.cli.bundle import collect

    now = datetime.now(UTC)

    async def gather(cluster: Cluster) -> tuple[Bundle, str]:
        bundle = await collect(
            cluster,
            operator_namespace=operator_namespace,
            lines=lines,
            version=version("mcs-operator"),
            moment=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            told=lambda what: click.echo(f"{what} …", err=True),
        )
        return bundle, f"mcs-support-{cluster.namespace}-{now:%Y%m%d-%H%M%S}"

    bundle, name = access.run(gather)
    place = Path(target or f"{name}.tar.gz")
    bundle.write(place, name)
    for line in bundle.missing:
        click.echo(f"not in it: {line}", err=True)
    click.echo(str(place))
