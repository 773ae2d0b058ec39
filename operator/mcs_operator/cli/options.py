"""What commands of `kubectl mcs` have in common: the cluster that they talk to, and completion by what is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from click.shell_completion import CompletionItem

from mcs_operator.cli.access import Access, Cluster
from mcs_operator.kube.resources import Resource


def names_of(resource: Resource) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completion by what is in the namespace; silent where there is no cluster to ask."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        async def names(cluster: Cluster) -> list[str]:
            return [str(body["metadata"]["name"]) for body in await cluster.list(resource)]

        try:
            found = _access(context).run(names)
        except click.ClickException:
            return []
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]

    return complete


def _access(context: click.Context) -> Access:
    """By the options that stand on the command line so far."""
    return _chosen(**{name: context.params.get(name) for name in ("kubeconfig", "kube_context", "namespace")})


def _chosen(kubeconfig: str | None, kube_context: str | None, namespace: str | None) -> Access:
    return Access(kubeconfig or "", kube_context or "", namespace or "")


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """A command that talks to a cluster: it is given an Access, made from the options that kubectl has, too."""

    @click.option("--kubeconfig", metavar="FILE", help="Default: KUBECONFIG, then ~/.kube/config.")
    @click.option("--context", "kube_context", metavar="NAME", help="Default: the current one.")
    @click.option("--namespace", "-n", metavar="NAME", help="Default: that of the context.")
    @wraps(command)
    def connected(*, kubeconfig: str | None, kube_context: str | None, namespace: str | None, **given: Any) -> None:
        command(_chosen(kubeconfig, kube_context, namespace), **given)

    return connected
