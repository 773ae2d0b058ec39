"""The table of `cluster status`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import apiserver_alone, kindcluster, network, node, settings, worker
from .processes import Component, Supervisor

FORMAT = "{:<26} {:>8}  {:<8} {}"


@dataclass(frozen=True)
class Row:
    """One line; `since` is text, empty where a thing has no start."""

    name: str
    pid: int | None
    well: bool
    since: str = ""


def status() -> int:
    """Print what should run and whether it does; 0 when something is up and all of it is well."""
    rows = [*_node_rows(), *_worker_rows(), *_kind_rows(), *_alone_rows()]
    if not rows:
        print("nothing is up; start it with `cluster up` or `cluster apiserver-up`")
        return 1
    print(FORMAT.format("COMPONENT", "PID", "HEALTHY", "SINCE"))
    for row in rows:
        print(FORMAT.format(row.name, row.pid or "-", "yes" if row.well else "NO", row.since))
    return 0 if all(row.well for row in rows) else 1


def _node_rows() -> Iterator[Row]:
    this = node.known()
    if this is None:
        return
    yield from (_row(this.supervisor, component) for component in this.components())
    yield Row(f"bridge {settings.NODE_BRIDGE}", None, network.present())
    yield Row(f"node {this.host.name} Ready", None, this.ready())


def _worker_rows() -> Iterator[Row]:
    second = worker.known()
    if second is None:
        return
    for component in second.components():
        row = _row(second.supervisor, component)
        yield Row(f"node-2/{row.name}", row.pid, row.well, row.since)
    yield Row(f"node {second.node.host.name} Ready", None, second.node.ready())


def _kind_rows() -> Iterator[Row]:
    if kindcluster.known():
        yield Row(f"node {kindcluster.CONTAINER} Ready", None, kindcluster.healthy())


def _alone_rows() -> Iterator[Row]:
    plane = apiserver_alone.known()
    if plane is not None:
        supervisor = Supervisor(plane.folder)
        for component in apiserver_alone.components(plane):
            row = _row(supervisor, component)
            yield Row(f"alone/{row.name}", row.pid, row.well, row.since)


def _row(supervisor: Supervisor, component: Component) -> Row:
    record = supervisor.running(component.name)
    if record is None:
        return Row(component.name, None, False)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.since))
    return Row(component.name, record.pid, component.healthy(), since)
