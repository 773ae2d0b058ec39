"""The command line: each subcommand is a function of a few lines."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import addons, apiserver_alone, check, environment, kindcluster, node, report, worker
from .shell import ClusterError, say

EPILOG = """
Exit codes: 0 well, 1 failed (status: something is not healthy), 2 wrong usage, 3 rights for a node are missing.
State: /var/tmp/mcs-cluster (MCS_CLUSTER_DIR). Caches: ${XDG_CACHE_HOME:-~/.cache}/mcs-operator.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    # A normal user's PATH, and root's after a plain `su`, lack the folders where runc, nft and dnsmasq are.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.action(arguments) or 0)
    except ClusterError as error:
        say(f"cluster: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="cluster",
        description="A real Kubernetes cluster on this machine: kind where a Docker engine answers, else one own node.",
        epilog=EPILOG,
        formatter_class=formatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(action=action)
        return sub

    command("up", _up, "start the cluster, or repair what died; returns when it is ready")
    command("down", _down, "end the cluster and leave no trace of it but the caches")
    command("worker-up", _worker_up, "let a second node join that of this machine, or repair it")
    command(
        "worker-off", _worker_off, "kill the second node at once, as if its power failed; `worker-up` starts it again"
    )
    command("worker-down", _worker_down, "end the second node; `down` does it, too")
    command("status", _status, "print what runs; exit code 0 only when all is well")
    command("env", _env, 'print export lines: eval "$(hack/cluster/cluster env)"')
    alone = command("apiserver-up", _apiserver_up, "start etcd, API server and controller manager alone; needs no root")
    alone.add_argument("--env", action="store_true", help="print export lines for eval")
    command("apiserver-down", _apiserver_down, "end the API server that runs alone")
    load = command("load", _load, "import docker-archive images into the cluster, except those it has")
    load.add_argument("archives", nargs="+", type=Path, metavar="FILE.tar")
    unload = command("unload", _unload, "remove the images of a registry from the node that is built here")
    unload.add_argument("registry", metavar="REGISTRY", help="what stands before the first slash of their names")
    command("check", _check, "try the cluster: pod, exec, logs, host port, Service, DNS, volume, Secret update")
    _hidden(commands, "run-addons", _run_addons)
    return parser


def _hidden(commands: Any, name: str, action: Callable[[argparse.Namespace], None]) -> None:
    commands.add_parser(name).set_defaults(action=action)  # without help: not listed


def _up(_: argparse.Namespace) -> None:
    if kindcluster.usable():
        kindcluster.up()
    else:
        node.up()


def _down(_: argparse.Namespace) -> None:
    if kindcluster.known():
        kindcluster.down()
    else:
        worker.down()
        node.down()


def _worker_up(_: argparse.Namespace) -> None:
    worker.up()


def _worker_off(_: argparse.Namespace) -> None:
    worker.off()


def _worker_down(_: argparse.Namespace) -> None:
    worker.down()


def _status(_: argparse.Namespace) -> int:
    return report.status()


def _env(_: argparse.Namespace) -> None:
    print(environment.exports(environment.of_cluster()))


def _apiserver_up(arguments: argparse.Namespace) -> None:
    plane = apiserver_alone.up()
    if arguments.env:
        print(environment.exports(environment.of_plane(plane)))


def _apiserver_down(_: argparse.Namespace) -> None:
    apiserver_alone.down()


def _load(arguments: argparse.Namespace) -> None:
    loads = [kindcluster.load] if kindcluster.known() else [node.require().runtime.load]
    if second := worker.known():
        loads.append(second.node.runtime.load)
    for archive in arguments.archives:
        loaded = [load(archive) for load in loads]
        say(f"{archive}: {'loaded' if any(loaded) else 'already there'}")


def _unload(arguments: argparse.Namespace) -> None:
    for name in node.require().runtime.unload(arguments.registry):
        say(f"{name}: removed")


def _check(_: argparse.Namespace) -> int:
    return check.run_all()


def _run_addons(_: argparse.Namespace) -> None:
    this = node.require()
    addons.serve(this.plane.api("addons"), this.folder)
