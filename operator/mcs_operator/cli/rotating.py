"""`kubectl mcs rotate`: what it will cost, and by when what has to be done; and how it is taken back."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from mcs_operator.api.conditions import ConditionStatus, Reason, Type
from mcs_operator.cli import views
from mcs_operator.cli.access import Access
from mcs_operator.cli.asking import ask, await_change, get
from mcs_operator.domain.rules.pins import OVERLAP
from mcs_operator.kube.resources import LINKS, Object
from mcs_operator.settings import ANNOTATION_ROTATE, ANNOTATION_UNDO_ROTATE


def rotate(access: Access, link: str, timeout: int | None) -> None:
    """Ask for a new profile, and wait for it so many seconds; None for not at all."""
    before = _pending(get(access, LINKS, link)).get("message")
    day = f"{datetime.now(UTC) + OVERLAP:%Y-%m-%d}"
    _say(f"{link} reconnects once now, and once when its TVox has the new profile; no other customer notices")
    _say(f"upload the new profile to its TVox by {day}: until it has dialled in with it, the old one is accepted, too;")
    _say("on that day the old one is refused all the same, and this customer is cut off until he has the new one")
    ask(access, LINKS, link, ANNOTATION_ROTATE)

    def is_made(body: Object) -> bool:
        pending = _pending(body)  # its message has the time of the profile
        return pending.get("status") == ConditionStatus.TRUE and pending.get("message") != before

    if timeout is not None:
        await_change(access, LINKS, link, is_made, timeout)
        where = f" -n {access.namespace}" if access.namespace else ""
        _say(f"the new profile is there: kubectl mcs profile{where} {link}")
        _say(f"to take it back before the TVox has it: kubectl mcs rotate{where} {link} --undo")


def take_back(access: Access, link: str, timeout: int | None) -> None:
    """Ask that the rotation be taken back, and wait for it; an error where there is none that can be."""
    pending = _pending(get(access, LINKS, link))
    if pending.get("reason") != Reason.NEW_NOT_SEEN:
        raise click.ClickException(
            f"TVoxLink {link}: nothing to take back: {pending.get('message') or 'no rotation waits for its TVox'}"
        )
    _say(f"{link} reconnects once, and goes on with the old profile; the new one is void")
    ask(access, LINKS, link, ANNOTATION_UNDO_ROTATE)
    if timeout is not None:
        await_change(access, LINKS, link, lambda body: _pending(body).get("reason") != Reason.NEW_NOT_SEEN, timeout)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _pending(body: Object) -> dict[str, object]:
    return dict(views.condition(body, Type.ROTATION_PENDING))
