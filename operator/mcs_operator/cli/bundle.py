"""Everything that support asks for, in one archive, and nothing that it must not have.

What cannot be read, for want of a right or because it is not there, is named in the archive instead of ending it: a
bundle is made when something is wrong.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mcs_operator.api.usersfile import USERS_KEY
from mcs_operator.cli import output, views
from mcs_operator.cli.access import Cluster
from mcs_operator.cli.files import MAX_BYTES
from mcs_operator.cli.redact import redacted
from mcs_operator.cli.scrub import Scrubber, users_in
from mcs_operator.cli.yamltext import TextError, documents
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import CHILDREN, EVENTS, OURS, PODS, SECRETS, Object, Resource
from mcs_operator.settings import AGENT_CONTAINER, LABEL_MANAGED_BY, LABEL_NAME, OPERATOR, link_name

_README = """\
Support bundle of namespace {namespace}, made at {moment} by kubectl mcs {version}.

overview.txt    what `kubectl mcs status` and `kubectl mcs links` say
objects/        objects of the namespace; of Secrets their names and labels alone
operator/       the operator's pods
logs/           the link agent, the slots that a link has, the operator: the last {lines} lines each
missing.txt     what could not be read, and why

Not in it: the data of any Secret (it was not asked for), private keys, tokens, the names of users, what the environment
of a container is set to by hand, and the log of the media appliance, which may hold anything:
  kubectl logs -n {namespace} <instance>-0 -c media
Still, look at it before you send it: domains, addresses and names of customers are in it.
"""


_NEVER = 2**31
"""Columns after which YAML folds a line."""


@dataclass
class Bundle:
    """Files by their path in the archive, and what is missing of it."""

    files: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    scrubber: Scrubber = field(default_factory=Scrubber)

    def add(self, path: str, text: str) -> None:
        """One file, scrubbed."""
        self.files[path] = self.scrubber.text(text)

    def add_object(self, folder: str, body: Object) -> None:
        """One object. It is redacted before it is a text: folded and quoted, a secret is not known any more."""
        text = yaml.safe_dump(redacted(body, self.scrubber), sort_keys=False, allow_unicode=True, width=_NEVER)
        self.files[f"{folder}/{body['kind']}/{body['metadata']['name']}.yaml"] = text

    def write(self, target: Path, name: str) -> None:
        """A compressed archive, all of it below one folder ``name``, readable by its owner only."""
        target.touch(mode=0o600)
        target.chmod(0o600)
        with tarfile.open(target, "w:gz") as archive:
            for path, text in sorted(self.files.items()):
                content = text.encode()
                member = tarfile.TarInfo(f"{name}/{path}")
                member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
                archive.addfile(member, io.BytesIO(content))


async def collect(
    cluster: Cluster, *, operator_namespace: str, lines: int, version: str, moment: str, told: Callable[[str], None]
) -> Bundle:
    """Ask for everything. ``told`` is given what is going on."""
    bundle = Bundle()
    told("objects")
    here = await _objects(cluster, bundle)
    told("operator")
    operators = await _found(cluster, bundle, PODS, operator_namespace, labels=f"{LABEL_NAME}={OPERATOR}")
    if not operators:
        bundle.missing.append(f"no pod of the operator in namespace {operator_namespace}: --operator-namespace")
    for pod in operators:
        bundle.add_object("operator", pod)
    wanted = [(operator_namespace, pod["metadata"]["name"], OPERATOR.removeprefix("mcs-")) for pod in operators]
    wanted += [(cluster.namespace, *one) for one in _told_of(here["Pod"], here["TVoxLink"])]
    told(f"logs of {len(wanted)} containers")
    await asyncio.gather(*(_log(cluster, bundle, *one, lines) for one in wanted))
    views_of = [views.instance_view(i, here["TVoxLink"], here["Community"]) for i in here["MCSInstance"]]
    table = output.table([views.link_row(body) for body in here["TVoxLink"]])
    bundle.add("overview.txt", "\n\n".join([*map(views.status_text, views_of), table, ""]))
    bundle.add("missing.txt", "".join(f"{line}\n" for line in sorted(bundle.missing)) or "nothing\n")
    bundle.add("README.txt", _README.format(namespace=cluster.namespace, moment=moment, version=version, lines=lines))
    return bundle


async def _objects(cluster: Cluster, bundle: Bundle) -> dict[str, list[Object]]:
    """Objects of the namespace, by kind."""
    kinds = (*OURS, *CHILDREN, EVENTS)
    lists = await asyncio.gather(*(_found(cluster, bundle, kind, cluster.namespace) for kind in kinds))
    here = {kind.kind: bodies for kind, bodies in zip(kinds, lists, strict=True)}
    names = [str(body["metadata"]["name"]) for bodies in lists for body in bodies]
    bundle.scrubber = Scrubber(users_in(here["Community"]) | _users_of_files(here["ConfigMap"]), names)
    for bodies in lists:
        for body in bodies:
            bundle.add_object("objects", body)
    return here


def _users_of_files(config_maps: Sequence[Object]) -> set[str]:
    """Names that the users files in ConfigMaps list; those in Secrets nobody here has read."""
    found: set[str] = set()
    for body in config_maps:
        files = body.get("data")
        text = files.get(USERS_KEY) if isinstance(files, dict) else None
        if isinstance(text, str) and len(text) <= MAX_BYTES:
            with suppress(TextError):
                found |= users_in({"spec": {"users": listed}} for listed in documents(text))
    return found


async def _found(
    cluster: Cluster, bundle: Bundle, resource: Resource, namespace: str, labels: str = ""
) -> list[Object]:
    """All of a kind; of Secrets no more than their metadata ever leaves the API server."""
    try:
        found, _ = await cluster.api.list(
            resource, namespace=namespace, labels=labels, metadata_only=resource is SECRETS
        )
    except ApiError as error:
        bundle.missing.append(f"{resource.plural} of namespace {namespace}: {error.message or error}")
        return []
    known = {"apiVersion": resource.api_version, "kind": resource.kind}  # a list's items leave out what they are
    return [{**body, **known} for body in found]


def _told_of(pods: Sequence[Object], links: Sequence[Object]) -> list[tuple[str, str]]:
    """Pods and containers whose logs tell of customers: the agent, and each slot that a link has."""
    slots = {link_name(slot) for body in links if (slot := (body.get("status") or {}).get("slot"))}
    return [
        (pod["metadata"]["name"], container["name"])
        for pod in pods
        if (pod["metadata"].get("labels") or {}).get(LABEL_MANAGED_BY) == OPERATOR
        for container in pod["spec"]["containers"]
        if container["name"] in {AGENT_CONTAINER, *slots}
    ]


async def _log(cluster: Cluster, bundle: Bundle, namespace: str, pod: str, container: str, lines: int) -> None:
    try:
        text = await cluster.api.log(namespace, pod, container, lines=lines)
    except (ApiError, OSError, TimeoutError) as error:
        bundle.missing.append(f"log of {namespace}/{pod}, container {container}: {error}")
        return
    bundle.add(f"logs/{pod}/{container}.log", text)
