"""`kubectl mcs password`: a new password for one user, hashed here, so that the cluster never sees it."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import sys
from typing import Any

import click
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mcs_operator.api.passwords import LARGEST_FILE, PASSWORDS_KEY, PasswordsError, read_passwords
from mcs_operator.api.usersfile import is_user_name
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.parse.bounds import mapping, mappings, text
from mcs_operator.kube.parse.ours import named
from mcs_operator.kube.resources import COMMUNITIES, SECRETS, Object
from mcs_operator.settings import LABEL_PASSWORDS

SHORTEST, LONGEST = 8, 128
"""Characters of a password that somebody chooses."""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""None that look alike: it is read out, and typed from paper. Four times four of them are 79 bits."""
TRIES = 5
"""Where somebody else writes the same Secret."""


def give(access: Access, user: str, chosen: bool) -> None:
    """A new password for one user, made here or ``chosen``; what is made is printed once."""
    community, _, name = user.partition("/")
    if not community or not is_user_name(name):
        raise click.UsageError("name a Community and one of its users, such as acme/anna.rossi")
    plain = _chosen() if chosen else new_password()
    line = f"{name}:{hashed(plain)}"

    async def store(cluster: Cluster) -> str:
        return await _store(cluster, community, name, line)

    secret = access.run(store)
    click.echo(f"{user}: the password is set, in Secret {secret}", err=True)
    if not chosen:
        click.echo(plain)


def new_password() -> str:
    """At random, to be read out."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def hashed(plain: str) -> str:
    """As a line of a passwords file has it; 40 ms and 19 MiB, here and at each login."""
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=19 * 1024)
    return kdf.derive_phc_encoded(plain.encode())


def _chosen() -> str:
    if sys.stdin.isatty():
        plain = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        plain = sys.stdin.readline(LONGEST + 3).removesuffix("\n").removesuffix("\r")
    if not SHORTEST <= len(plain) <= LONGEST or not plain.isprintable():
        raise click.ClickException(f"a password has {SHORTEST} to {LONGEST} characters, on one line")
    return plain


async def _store(cluster: Cluster, community: str, name: str, line: str) -> str:
    """Put the line into the Secret that has, or is to have, this user; its name."""
    spec = mapping((await cluster.get(COMMUNITIES, community)).get("spec"))
    listed = {text(user.get("name")) for user in mappings(spec.get("users"))}
    if name not in listed and not spec.get("usersFrom"):
        raise click.ClickException(f"Community {community} has no user {name}; add him to spec.users")
    sources = sources_of(spec, community)
    for left in reversed(range(TRIES)):
        found = {source: await cluster.api.get(SECRETS, cluster.namespace, source) for source in sources}
        try:
            return await _put(cluster, community, found, name, line)
        except ApiError as error:
            if error.status != 409 or not left:  # somebody else was quicker: his lines are kept
                raise
    raise AssertionError  # the last try returns or raises


def sources_of(spec: Object, community: str) -> list[str]:
    """The Secrets that a Community names, in their order; an error where there is none."""
    sources = mappings(mapping(spec.get("authentication")).get("passwordsFrom"))
    if not sources:
        raise click.ClickException(
            f"Community {community} names no Secret for passwords; set spec.authentication.passwordsFrom to "
            f"[{{secretRef: {{name: {community}-passwords}}}}]"
        )
    return list(dict.fromkeys(named(source, "secretRef", "name") for source in sources))


async def _put(cluster: Cluster, community: str, found: dict[str, Object | None], name: str, line: str) -> str:
    texts = {source: content_of(source, body) for source, body in found.items() if body}
    source = next((source for source, lines in texts.items() if has_user(lines, name)), next(iter(found)))
    body, wanted = found[source], with_line(texts.get(source, ""), name, line)
    data = {PASSWORDS_KEY: base64.b64encode(wanted.encode()).decode()}
    if body is None:
        await cluster.api.create(SECRETS, new_secret(cluster.namespace, source, community, data))
        return source
    check_label(cluster, source, body, community)
    _check(source, wanted)
    metadata = {"resourceVersion": body["metadata"]["resourceVersion"]}
    await cluster.api.merge(SECRETS, cluster.namespace, source, {"metadata": metadata, "data": data})
    return source


def check_label(cluster: Cluster, source: str, body: Object, community: str) -> None:
    """An error where what stands in this Secret is not believed of the Community."""
    label = text(mapping(mapping(body.get("metadata")).get("labels")).get(LABEL_PASSWORDS))
    if label != community:
        has = f"is labelled {LABEL_PASSWORDS}={label}" if label else f"lacks label {LABEL_PASSWORDS}"
        raise click.ClickException(
            f"Secret {source} {has}, and is not believed of Community {community}; if it is its own: "
            f"kubectl label secret {source} --namespace={cluster.namespace} --overwrite {LABEL_PASSWORDS}={community}"
        )


def new_secret(namespace: str, name: str, community: str, data: dict[str, str]) -> dict[str, Any]:
    """A Secret that is believed of this Community."""
    metadata = {"name": name, "namespace": namespace, "labels": {LABEL_PASSWORDS: community}}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def content_of(source: str, body: Object) -> str:
    """What stands in a Secret; an error where that is no text, which nobody would find again."""
    encoded = mapping(body.get("data")).get(PASSWORDS_KEY)
    try:
        return base64.b64decode(encoded, validate=True).decode() if isinstance(encoded, str) else ""
    except (binascii.Error, UnicodeDecodeError):
        raise click.ClickException(f"Secret {source}, key {PASSWORDS_KEY}: is not text in UTF-8; mend it") from None


def has_user(lines: str, name: str) -> bool:
    """Whether a user has a line."""
    return any(line.startswith(f"{name}:") for line in lines.split("\n"))


def with_line(lines: str, name: str, line: str) -> str:
    """The lines with this one in the place of the user's first, and without his others; all else as it is."""
    kept, is_in = [], False
    for other in lines.removesuffix("\n").split("\n") if lines else []:
        if not other.startswith(f"{name}:"):
            kept.append(other)
        elif not is_in:
            kept.append(line)
            is_in = True
    return "\n".join(kept if is_in else [*kept, line]) + "\n"


def _check(source: str, wanted: str) -> None:
    """A password that is printed must hold: with another wrong line nothing of the Secret would be taken."""
    try:
        read_passwords(wanted.encode())
    except PasswordsError as error:
        remedy = "mend it first" if len(wanted.encode()) <= LARGEST_FILE else "name another Secret first"
        raise click.ClickException(f"Secret {source}, key {PASSWORDS_KEY}: {error}; {remedy}") from None
