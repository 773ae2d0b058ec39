"""The commands of `kubectl mcs`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import yaml

from mcs_operator.api.conditions import ConditionStatus, Reason, Type
from mcs_operator.cli import offline, output, views
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.cli.asking import ask, await_change, get
from mcs_operator.cli.bundle import Bundle, collect
from mcs_operator.cli.effects import Effect, exit_code
from mcs_operator.cli.files import read
from mcs_operator.cli.forget import forget
from mcs_operator.cli.options import names_of, on_cluster
from mcs_operator.cli.password import password
from mcs_operator.cli.plan import effects_of
from mcs_operator.domain.rules.advice import advise
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS, SECRETS, Object
from mcs_operator.settings import ANNOTATION_ALLOWED, ANNOTATION_RESTART, ANNOTATION_REVOKE, ANNOTATION_ROTATE, Settings

_output = click.option(
    "--output", "-o", type=click.Choice(output.FORMATS), default="table", show_default=True, help="Format."
)
_wait = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
_files = click.option(
    "--filename",
    "-f",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="File, folder, or - for standard input; may be repeated.",
)
_timeout = click.option("--timeout", default=600, show_default=True, metavar="SECONDS", help="Of waiting.")
_link = click.argument("link", shell_complete=names_of(LINKS))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("mcs-operator"), prog_name="kubectl mcs")
def cli() -> None:
    """TVox MCS on Kubernetes: look at it, fetch profiles, plan changes, rotate keys.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage; `plan` has more.
    """


@cli.command()
@click.argument("instance", required=False, shell_complete=names_of(INSTANCES))
@_output
@on_cluster
def status(access: Access, instance: str | None, output: str) -> None:
    """Show the health of the MCS in this namespace, and the customers that need attention.

    Exit code 1 if something needs attention.
    """

    async def look(cluster: Cluster) -> list[dict[str, Any]]:
        found = [await cluster.get(INSTANCES, instance)] if instance else await cluster.list(INSTANCES)
        links, communities = await asyncio.gather(cluster.list(LINKS), cluster.list(COMMUNITIES))
        return [views.instance_view(body, links, communities) for body in found]

    found = access.run(look)
    click.echo(_status_text(found) if output == "table" else _structured(found, output))
    if any(view["attention"] or view["customers"] for view in found):
        sys.exit(1)


@cli.command()
@_output
@on_cluster
def links(access: Access, output: str) -> None:
    """Show all TVoxLinks of the namespace, with the state of their tunnels."""

    async def look(cluster: Cluster) -> list[dict[str, Any]]:
        return [views.link_row(body) for body in await cluster.list(LINKS)]

    _show(access.run(look), output)


@cli.command()
@_output
@on_cluster
def interruptions(access: Access, output: str) -> None:
    """Show the last ten interruptions that the operator made: why, from when to when, and whom they cost what."""

    async def look(cluster: Cluster) -> list[dict[str, Any]]:
        return [row for body in await cluster.list(INSTANCES) for row in views.interruption_rows(body)]

    _show(access.run(look), output)


@cli.command()
@_link
@click.option("--file", "target", type=click.Path(dir_okay=False, writable=True), help="Default: standard output.")
@on_cluster
def profile(access: Access, link: str, target: str | None) -> None:
    """Show the OpenVPN profile of one link, ready to upload to its TVox. It holds a private key."""

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


cli.add_command(password)
cli.add_command(forget)


@cli.command()
@_files
@_output
@on_cluster
def plan(access: Access, files: Sequence[str], output: str) -> None:
    """Show what applying these files would do, and which customers it would interrupt. Changes nothing.

    The API server checks every object in a dry run, with admission and quota.

    Exit codes: 0 nobody is interrupted, 1 something is refused, 3 single customers reconnect or need a new profile,
    4 the media pod, or the media in it, restarts.
    """
    documents = [document for document in read(files) if document.is_of_our_group]

    async def compare(cluster: Cluster) -> list[Effect]:
        return await effects_of(cluster, documents)

    effects = access.run(compare)
    if output == "table":
        click.echo("\n".join(line for one in effects for line in one.lines()) or "no object of ours in these files")
    else:
        click.echo(_structured([one.as_data() for one in effects], output))
    sys.exit(exit_code(effects))


@cli.command()
@_link
@_wait
@_timeout
@on_cluster
def rotate(access: Access, link: str, wait: bool, timeout: int) -> None:
    """Make a new profile for one TVox. The old one is accepted until the new one is seen, for a month at most."""
    before = views.condition(get(access, LINKS, link), Type.ROTATION_PENDING).get("message")
    ask(access, LINKS, link, ANNOTATION_ROTATE)

    def is_made(body: Object) -> bool:
        pending = views.condition(body, Type.ROTATION_PENDING)  # its message has the time of the profile
        return pending.get("status") == ConditionStatus.TRUE and pending.get("message") != before

    if wait:
        await_change(access, LINKS, link, is_made, timeout)
        click.echo(f"the new profile is there: kubectl mcs profile {link}", err=True)


@cli.command()
@_link
@_wait
@_timeout
@click.confirmation_option("--yes", prompt="That customer's TVox is cut off at once. Go on?", help="Do not ask.")
@on_cluster
def revoke(access: Access, link: str, wait: bool, timeout: int) -> None:
    """Refuse the oldest certificate of one TVox at once. Nobody else notices."""
    pending = views.condition(get(access, LINKS, link), Type.ROTATION_PENDING).get("status") == ConditionStatus.TRUE
    after = Reason.OLD_REFUSED if pending else Reason.REVOKED
    ask(access, LINKS, link, ANNOTATION_REVOKE)

    def is_revoked(body: Object) -> bool:
        return views.condition(body, Type.ROTATION_PENDING).get("reason") == after

    if wait:
        await_change(access, LINKS, link, is_revoked, timeout)


@cli.command()
@click.argument("instance", shell_complete=names_of(INSTANCES))
@_wait
@_timeout
@click.option("--now", is_flag=True, help="Do not wait for the hour that spec.disruptions allows.")
@click.confirmation_option("--yes", prompt="Every customer of this MCS is interrupted. Go on?", help="Do not ask.")
@on_cluster
def restart(access: Access, instance: str, wait: bool, timeout: int, now: bool) -> None:
    """Replace the media pod, after draining it, at the hour that spec.disruptions allows."""
    before = (get(access, INSTANCES, instance).get("status") or {}).get("podUID")
    if now:
        ask(access, INSTANCES, instance, ANNOTATION_ALLOWED)
    ask(access, INSTANCES, instance, ANNOTATION_RESTART)
    if not wait:
        return

    def is_back(body: Object) -> bool:
        status = body.get("status") or {}
        return (
            status.get("podUID") not in (None, before)
            and views.condition(body, Type.READY).get("status") == ConditionStatus.TRUE
        )

    await_change(access, INSTANCES, instance, lambda body: is_back(body) or bool(views.restart_waits(body)), timeout)
    if planned := views.restart_waits(get(access, INSTANCES, instance)):
        click.echo(f"asked for, and not done yet: {planned}", err=True)


@cli.command()
@_files
@_output
def validate(files: Sequence[str], output: str) -> None:
    """Check files without a cluster, by the rules that the operator goes by. Exit code 1 if something is wrong.

    What only a cluster knows is not checked: objects that are not in the files, and what is stored already.
    """
    found = offline.validate(read(files), datetime.now(UTC))
    rows = [
        {"source": f.source, "object": f.object, "severity": "error" if f.error else "warning", "message": f.message}
        for f in found
    ]
    if output == "table" and not rows:
        click.echo("valid")
    else:
        _show(rows, output)
    if any(finding.error for finding in found):
        sys.exit(1)


@cli.command()
@_files
def render(files: Sequence[str]) -> None:
    """Show the objects that the operator would write for these files. Secrets are blacked out. Needs no cluster."""
    documents = read(files)
    if errors := [f for f in offline.validate(documents, datetime.now(UTC)) if f.error]:
        raise click.ClickException("; ".join(f"{e.object}: {e.message}" for e in errors))
    bodies = offline.rendered(documents, datetime.now(UTC), Settings.from_environment())
    click.echo(yaml.safe_dump_all(bodies, sort_keys=False), nl=False)


@cli.command()
@click.argument("users", type=click.IntRange(min=1))
@click.option("--links", type=click.IntRange(min=0), default=0, show_default=True, help="TVoxes, one per customer.")
@click.option(
    "--connections", type=click.IntRange(min=0), default=0, help="At the same time. Default: as many as the tier has."
)
@_output
def size(users: int, links: int, connections: int, output: str) -> None:
    """Show which tier and Internet band so many USERS active at the same time need. Needs no cluster.

    Active are users of APPs, WEB clients and Widgets; an active connection takes about 60 KB/s.
    """
    advice = advise(users, links, connections)
    click.echo(views.advice_text(advice) if output == "table" else _structured(views.advice_data(advice), output))


@cli.command("support-bundle")
@click.option("--file", "target", type=click.Path(dir_okay=False, writable=True), help="Default: a name with the time.")
@click.option("--operator-namespace", default="mcs-system", show_default=True, metavar="NAME", help="The operator's.")
@click.option("--lines", default=500, show_default=True, type=click.IntRange(min=1), help="Of each log.")
@on_cluster
def support_bundle(access: Access, target: str | None, operator_namespace: str, lines: int) -> None:
    """Collect objects, Events and logs of the namespace in one archive, without secrets and names of users.

    Look at it before you send it: it has domains, addresses and names of customers.
    """
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


def _show(rows: list[dict[str, Any]], chosen: str) -> None:
    output.show(rows, chosen)


def _structured(value: Any, chosen: str) -> str:
    return output.structured(value, chosen)


def _status_text(found: Sequence[dict[str, Any]]) -> str:
    return "\n\n".join(map(views.status_text, found)) or "no MCSInstance in this namespace"


def main() -> None:
    """The console script `kubectl-mcs`. A file that cannot be written ends it in one line as well."""
    try:
        cli(prog_name="kubectl mcs")
    except OSError as error:
        click.echo(f"Error: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(1)
