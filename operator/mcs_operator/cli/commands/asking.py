"""Commands that ask the operator for something, or set something: password, forget, rotate, revoke, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mcs_operator.cli.options import asked, instance_argument, link_argument, on_cluster, timeout_option, wait_option
from mcs_operator.settings import ANNOTATION_ALLOWED, ANNOTATION_RESTART, ANNOTATION_REVOKE, GROUP

if TYPE_CHECKING:
    from mcs_operator.cli.access import Access

Object = dict[str, Any]


def _users(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Communities as far as their slash, then the users that one lists."""
    community, slash, _user = incomplete.partition("/")
    if not slash:
        found = asked(context, "get", f"communities.{GROUP}", "--output=name")
        names = [f"{line.rpartition('/')[2]}/" for line in found]
    else:
        users = asked(context, "get", f"communities.{GROUP}", community, "--output=jsonpath={.spec.users[*].name}")
        names = [f"{community}/{user}" for user in users]
    return [CompletionItem(one) for one in names if one.startswith(incomplete)]


@click.command()
@click.argument("user", metavar="COMMUNITY/USER", shell_complete=_users)
@click.option("--stdin", "chosen", is_flag=True, help="Read the password from standard input; do not make one.")
@on_cluster
def password(access: Access, user: str, chosen: bool) -> None:
    """Give one user a new password for the portal, and print it once.

    Only its hash (argon2id) is stored, in the first Secret of spec.authentication.passwordsFrom, which is made if need
    be. The old password ends as soon as the portal has the new one.
    """
    from mcs_operator.cli.password import give

    give(access, user, chosen)


@click.command()
@click.argument("user", metavar="COMMUNITY/USER", shell_complete=_users)
@click.option("--timeout", default=120, show_default=True, metavar="SECONDS", help="Of waiting.")
@click.confirmation_option(
    "--yes", prompt="What the portal keeps of this user is erased for good. Go on?", help="Do not ask."
)
@on_cluster
def forget(access: Access, user: str, timeout: int) -> None:
    """Erase at once what the portal keeps of one user: messages, files, calls, sessions.

    He may be one who is not listed any more. One who still is may log in again, and begins anew: take him out first.
    Returns when the portal has done it. Asked again, it does no harm.
    """
    from mcs_operator.cli.forget import erase

    erase(access, user, timeout)


@click.command()
@link_argument
@wait_option
@timeout_option
@click.option("--undo", is_flag=True, help="Take it back, as long as the TVox has not shown the new certificate.")
@on_cluster
def rotate(access: Access, link: str, wait: bool, timeout: int, undo: bool) -> None:
    """Make a new profile for one TVox. The old one is accepted until the new one is seen, for a month at most."""
    from mcs_operator.cli.rotating import rotate, take_back

    (take_back if undo else rotate)(access, link, timeout if wait else None)


@click.command()
@link_argument
@wait_option
@timeout_option
@click.confirmation_option("--yes", prompt="That customer's TVox is cut off at once. Go on?", help="Do not ask.")
@on_cluster
def revoke(access: Access, link: str, wait: bool, timeout: int) -> None:
    """Refuse the oldest certificate of one TVox at once. Nobody else notices."""
    from mcs_operator.api.conditions import ConditionStatus, Reason, Type
    from mcs_operator.cli import views
    from mcs_operator.cli.asking import ask, await_change, get
    from mcs_operator.kube.resources import LINKS

    pending = views.condition(get(access, LINKS, link), Type.ROTATION_PENDING).get("status") == ConditionStatus.TRUE
    after = Reason.OLD_REFUSED if pending else Reason.REVOKED
    ask(access, LINKS, link, ANNOTATION_REVOKE)

    def is_revoked(body: Object) -> bool:
        return views.condition(body, Type.ROTATION_PENDING).get("reason") == after

    if wait:
        await_change(access, LINKS, link, is_revoked, timeout)


@click.command()
@instance_argument
@wait_option
@timeout_option
@click.option("--now", is_flag=True, help="Do not wait for the hour that spec.disruptions allows.")
@click.confirmation_option("--yes", prompt="Every customer of this MCS is interrupted. Go on?", help="Do not ask.")
@on_cluster
def restart(access: Access, instance: str, wait: bool, timeout: int, now: bool) -> None:
    """Replace the media pod, after draining it, at the hour that spec.disruptions allows."""
    from mcs_operator.api.conditions import ConditionStatus, Type
    from mcs_operator.cli import views
    from mcs_operator.cli.asking import ask, await_change, get
    from mcs_operator.kube.resources import INSTANCES

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
