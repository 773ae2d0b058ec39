"""Commands about manifests: plan, validate, render."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mcs_operator.cli.options import files_option, on_cluster, output_format

if TYPE_CHECKING:
    from mcs_operator.cli.access import Access, Cluster
    from mcs_operator.cli.effects import Effect


@click.command()
@files_option
@click.option("--prune", is_flag=True, help="What is in their namespaces, and not in the files, would be deleted.")
@output_format
@on_cluster
def plan(access: Access, files: Sequence[str], prune: bool, output: str) -> None:
    """Show what applying these files would do, and which customers it would interrupt. Changes nothing.

    The API server checks every object in a dry run, with admission and quota; then all are judged together, beside what
    is there, as the operator will. The last line is the sum.

    Exit codes: 0 nobody is interrupted, 1 something is refused, 3 single customers reconnect or need a new profile,
    4 the media pod, or the media in it, restarts.
    """
    from mcs_operator.cli.effects import exit_code, summary
    from mcs_operator.cli.files import read
    from mcs_operator.cli.output import structured
    from mcs_operator.cli.plan import plan_of

    documents = read(files)

    async def compare(cluster: Cluster) -> list[Effect]:
        return await plan_of(cluster, documents, prune)

    effects = access.run(compare)
    if output == "table":
        click.echo("\n".join([*(line for one in effects for line in one.lines()), summary(effects)]))
    else:
        click.echo(structured([one.as_data() for one in effects], output))
    sys.exit(exit_code(effects))


@click.command()
@files_option
@output_format
def validate(files: Sequence[str], output: str) -> None:
    """Check files without a cluster, by the rules that the operator goes by. Exit code 1 if something is wrong.

    What only a cluster knows is not checked: objects that are not in the files, and what is stored already.
    """
    from datetime import UTC, datetime

    from mcs_operator.cli import offline
    from mcs_operator.cli.files import read
    from mcs_operator.cli.output import show

    documents = read(files)
    found = offline.validate(documents, datetime.now(UTC))
    rows = [
        {"source": f.source, "object": f.object, "severity": "error" if f.error else "warning", "message": f.message}
        for f in found
    ]
    if rows or output != "table":
        show(rows, output)
    errors = sum(finding.error for finding in found)
    if output == "table":
        told = f"errors: {errors}, warnings: {len(found) - errors}" if found else "all valid"
        click.echo(f"objects: {len(documents)}, {told}")
    if errors:
        sys.exit(1)


@click.command()
@files_option
def render(files: Sequence[str]) -> None:
    """Show the objects that the operator would write for these files. Secrets are blacked out. Needs no cluster."""
    from datetime import UTC, datetime

    import yaml

    from mcs_operator.cli import offline
    from mcs_operator.cli.files import read
    from mcs_operator.settings import Settings

    documents = read(files)
    if errors := [f for f in offline.validate(documents, datetime.now(UTC)) if f.error]:
        raise click.ClickException("; ".join(f"{e.object}: {e.message}" for e in errors))
    bodies = offline.rendered(documents, datetime.now(UTC), Settings.from_environment())
    click.echo(yaml.safe_dump_all(bodies, sort_keys=False), nl=False)
