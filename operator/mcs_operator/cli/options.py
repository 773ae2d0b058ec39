"""What commands of `kubectl mcs` have in common: options, the cluster that they talk to, and completion.

Loaded for each ``--help`` and each press of the tab key: imports here are click's and Python's own. What talks to a
cluster is imported where a command does so, which saves half a second each time; a test knows what must not be loaded.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mcs_operator.settings import GROUP

if TYPE_CHECKING:
    from mcs_operator.cli.access import Access

FORMATS = ("table", "json", "yaml")
_SECONDS = 5
"""Of waiting for an answer, where somebody has pressed the tab key."""
Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

output_format = click.option(
    "--output", "-o", type=click.Choice(FORMATS), default="table", show_default=True, help="Format."
)
wait_option = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")
timeout_option = click.option("--timeout", default=600, show_default=True, metavar="SECONDS", help="Of waiting.")
files_option = click.option(
    "--filename",
    "-f",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="File, folder, or - for standard input; may be repeated.",
)


def names_of(plural: str) -> Completion:
    """Completion by the names of our objects in the namespace; silent where there is no cluster to ask."""
    return _answers("get", f"{plural}.{GROUP}", "--output=name", in_namespace=True)


def _answers(*question: str, in_namespace: bool = False) -> Completion:
    """Completion by what kubectl answers, a candidate in each line: it begins faster than a client of our own."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = asked(context, *question, in_namespace=in_namespace)
        names = (line.rpartition("/")[2] for line in found)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return complete


def asked(context: click.Context, *question: str, in_namespace: bool = True) -> list[str]:
    """The lines of kubectl's answer, by the options that stand on the command line so far."""
    chosen = kubectl_options(context.params, in_namespace)
    command = ["kubectl", *question, f"--request-timeout={_SECONDS}s", *chosen]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * _SECONDS, text=True, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    return done.stdout.split() if done.returncode == 0 else []


def kubectl_options(given: Mapping[str, Any], in_namespace: bool) -> list[str]:
    """What was chosen, as kubectl wants to be told."""
    named = {"--kubeconfig": "kubeconfig", "--context": "kube_context", "--as": "as_user"}
    if in_namespace:
        named["--namespace"] = "namespace"
    groups = [f"--as-group={group}" for group in given.get("as_group") or ()]
    return [*(f"{option}={given[key]}" for option, key in named.items() if given.get(key)), *groups]


link_argument = click.argument("link", shell_complete=names_of("tvoxlinks"))
instance_argument = click.argument("instance", shell_complete=names_of("mcsinstances"))
all_namespaces = click.option("--all-namespaces", "-A", "everywhere", is_flag=True, help="In every namespace.")
_OF_KUBECTL = (
    click.option("--kubeconfig", metavar="FILE", help="Default: KUBECONFIG, then ~/.kube/config."),
    click.option(
        "--context",
        "kube_context",
        metavar="NAME",
        help="Default: the current one.",
        shell_complete=_answers("config", "get-contexts", "--output=name"),
    ),
    click.option(
        "--namespace",
        "-n",
        metavar="NAME",
        help="Default: that of the context.",
        shell_complete=_answers("get", "namespaces", "--output=name"),
    ),
    click.option("--as", "as_user", metavar="USER", help="Act as this user, where you may."),
    click.option("--as-group", metavar="GROUP", multiple=True, help="Act as one of this group; may be repeated."),
)


def on_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """A command that talks to a cluster: it is given an Access, made from the options that kubectl has, too."""

    @wraps(command)
    def connected(
        *,
        kubeconfig: str | None,
        kube_context: str | None,
        namespace: str | None,
        as_user: str | None,
        as_group: Sequence[str],
        **given: Any,
    ) -> None:
        chosen = kubectl_options({"as_user": as_user, "as_group": as_group}, in_namespace=False)
        command(_access(kubeconfig or "", kube_context or "", namespace or "", tuple(chosen)), **given)

    for option in reversed(_OF_KUBECTL):
        connected = option(connected)
    return connected


def _access(kubeconfig: str, context: str, namespace: str, impersonation: tuple[str, ...]) -> Access:
    from mcs_operator.cli.access import Access

    return Access(kubeconfig, context, namespace, impersonation)
