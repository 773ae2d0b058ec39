"""A second node, a worker, on the same machine: network, runtime, kubelet and kube-proxy of its own.

    mcsnode0 10.89.0.1/24 ── mcsnode2 ══ eth0 10.89.0.2/24, in a network namespace      pods: 10.244.1.0/24, routed

One process holds its network and its mounts; all that belongs to the worker runs inside of these, and what it mounts
ends with them. Its control plane, its DNS and its disks are the first node's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from . import binaries, cgroups, kindcluster, network, node, settings
from .apiclient import ApiError
from .node import Node
from .packages import program
from .processes import Component, Supervisor, end_process
from .runtime import Runtime
from .settings import FIRST, SECOND
from .shell import ClusterError, only_one, run, say, succeeds, wait_until, write_if_changed

CABLE = "mcsnode2"
# Fixed in every kubelet. In the first one its socket for device plugins would be replaced by this node's.
OWN_FOLDERS = ("/var/lib/kubelet/device-plugins", "/var/log/containers")


@dataclass(frozen=True)
class Worker:
    """The second node's parts, whether they run or not."""

    node: Node

    @property
    def folder(self) -> Path:
        return self.node.folder

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.folder)

    def components(self) -> list[Component]:
        """Everything that runs, in the order of starting."""
        agents = (self.node.runtime.component(), self.node.kubelet(), self.node.kube_proxy())
        return [self.namespaces(), *(self._inside(agent) for agent in agents)]

    def namespaces(self) -> Component:
        """Whoever holds its network and its mounts."""
        script = self.folder / "namespaces.sh"
        argv = ["unshare", "--net", "--mount", "--propagation", "private", "sh", str(script)]
        return Component("namespaces", argv, self._prepared, config={script: self._script()})

    def _script(self) -> str:
        lines = ["set -e"]
        for number, fixed in enumerate(OWN_FOLDERS):
            own = self.folder / f"own-{number}"
            lines += [f"mkdir -p '{own}' '{fixed}'", f"mount --bind '{own}' '{fixed}'"]
        # The mounts that the first node has by now would stay here when it takes them away.
        mounted = f"awk '{{print $5}}' /proc/self/mountinfo | grep '^{settings.node_dir()}/' | sort -r"
        lines += [f'{mounted} | while read -r at; do umount --lazy "$at"; done', "exec sleep infinity", ""]
        return "\n".join(lines)

    def _prepared(self) -> bool:
        return Path(f"/proc/{self._holder()}/comm").read_text().strip() == "sleep"

    def _holder(self) -> int:
        """The process id of who holds the namespaces; 0 without one."""
        record = self.supervisor.running("namespaces")
        return record.pid if record else 0

    def _inside(self, component: Component) -> Component:
        # Not `ip netns exec`: it mounts /sys anew, without the control groups.
        enter = ["nsenter", "--target", str(self._holder()), "--net", "--mount"]
        return dataclasses.replace(component, argv=[*enter, *component.argv])

    def plug_in(self) -> None:
        """The cable to the bridge, the ways to the first node's pods and to Services, and none to beyond this machine:
        a stray packet dies here."""
        ip, inside = program("ip"), ["nsenter", "--target", str(self._holder()), "--net"]
        if not succeeds(*inside, ip, "link", "show", "eth0"):
            succeeds(ip, "link", "delete", CABLE)
            run(ip, "link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder()))
        run(ip, "link", "set", CABLE, "master", network.BRIDGE, "up")
        run(*inside, ip, "-batch", "-", stdin=f"""
address replace {SECOND.ip}/{settings.NODE_NETWORK.split("/")[1]} dev eth0
link set lo up
link set eth0 up
route replace {FIRST.pods} via {FIRST.ip}
route replace {settings.SERVICE_NETWORK} dev eth0
""")  # fmt: skip
        run(*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        run(ip, "route", "replace", SECOND.pods, "via", SECOND.ip, "dev", network.BRIDGE)


def describe() -> Worker:
    """The worker as it should be on this machine; starts nothing."""
    folder, layout, first = settings.worker_dir(), cgroups.detect(SECOND.cgroup_root), node.describe()
    containerd, cni = (binaries.folder_of(module) for module in (binaries.CONTAINERD, binaries.CNI))
    return Worker(Node(folder, first.plane, Runtime(folder, containerd, cni, layout), layout, SECOND))


def known() -> Worker | None:
    """The worker that `worker-up` set up before, else None."""
    return describe() if settings.worker_dir().exists() else None


def up() -> None:
    """Start what does not run, return when the node is Ready. ClusterError without a first node."""
    if kindcluster.known():
        raise ClusterError("a second node is for the node of this machine; kind has its own way")
    node.require()
    worker = describe()
    with only_one(settings.base_dir() / "node.lock"):
        _start(worker)
    say(f"node {SECOND.name} is ready: {SECOND.ip}")


def _start(worker: Worker) -> None:
    this, supervisor = worker.node, worker.supervisor
    network.ensure()  # of a first node that was started before it knew of a second one
    cgroups.prepare(this.layout)
    _begin(supervisor, worker.namespaces())
    worker.plug_in()
    this.ensure_agents_certificates()
    write_if_changed(worker.folder / "cni/net.d/10-mcsnode.conflist", network.cni_config(worker.folder, SECOND.pods))
    _, containerd, kubelet, kube_proxy = worker.components()
    _begin(supervisor, containerd)
    this.runtime.ensure_pause()
    supervisor.ensure(kubelet)
    wait_until(f"node {SECOND.name} to be Ready", this.ready, 90)
    supervisor.wait(kubelet)
    _begin(supervisor, kube_proxy)  # looks for its Node at start


def _begin(supervisor: Supervisor, component: Component) -> None:
    supervisor.ensure(component)
    supervisor.wait(component)


def off() -> None:
    """As when its power fails: all of it ends at once, and nobody is told. Its disks stay; `up` switches it on."""
    worker = known()
    if worker is None:
        raise ClusterError("there is no second node; start it with `cluster worker-up`")
    with only_one(settings.base_dir() / "node.lock"):
        succeeds("ip", "link", "set", CABLE, "down")
        for name in worker.supervisor.names():
            record = worker.supervisor.running(name)
            if record:
                os.kill(record.pid, signal.SIGKILL)
                end_process(record.pid, record.started)
        cgroups.kill_all(worker.node.layout)
        node.end_shims(worker.folder)
        for folder in ("run", "runc", "containerd-run"):  # in memory, on a machine
            shutil.rmtree(worker.folder / folder, ignore_errors=True)


def down() -> None:
    """End it, its Node and the pods there; without one there is nothing to do."""
    worker = known()
    if worker is None:
        return
    with only_one(settings.base_dir() / "node.lock"):
        worker.supervisor.stop("kubelet")
        cgroups.kill_all(worker.node.layout)
        node.end_shims(worker.folder)
        worker.supervisor.stop_all()  # the namespaces last, and with them all that is mounted
        cgroups.remove(worker.node.layout)
        succeeds("ip", "link", "delete", CABLE)
        succeeds("ip", "route", "delete", SECOND.pods, "via", SECOND.ip)
        _forget(worker)
        shutil.rmtree(worker.folder)


def _forget(worker: Worker) -> None:
    """Remove the Node and its pods, as far as there is still an API server to tell."""
    with contextlib.suppress(OSError, http.client.HTTPException, ApiError, ValueError):
        api = worker.node.plane.api()
        for pod in api.get(f"/api/v1/pods?fieldSelector=spec.nodeName={SECOND.name}")["items"]:
            metadata = pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
            with contextlib.suppress(ApiError):  # it has gone meanwhile
                api.delete(f"{path}?gracePeriodSeconds=0")
        api.delete(f"/api/v1/nodes/{SECOND.name}")
