"""etcd, API server and controller manager without a node: for integration tests, without root, on free ports."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

from . import binaries, ecosystem, packages, settings
from .apiclient import free_port
from .controlplane import ControlPlane
from .processes import Component, Supervisor
from .settings import Ports
from .shell import only_one, say, wait_until, write_if_changed

# Quota, garbage collection, namespaces and service accounts. No workload controllers: without a node their pods would
# hang, and tests want to play the kubelet themselves.
CONTROLLERS = ",".join(
    [
        "garbage-collector-controller",
        "resourcequota-controller",
        "namespace-controller",
        "persistentvolumeclaim-protection-controller",  # else a namespace with a claim never ends
        "serviceaccount-controller",
        "root-ca-certificate-publisher-controller",
        "clusterrole-aggregation-controller",
    ]
)


def up(controllers: str = CONTROLLERS) -> ControlPlane:
    """Start what does not run; returns when API server and quota work."""
    packages.install(packages.FOR_APISERVER)
    binaries.build(ecosystem.kubernetes(settings.kubernetes()), "kube-apiserver")
    binaries.build(binaries.KUBERNETES, "kube-controller-manager", "kubectl")
    folder = settings.apiserver_dir()
    with only_one(settings.base_dir() / "apiserver.lock"):
        plane = _plane(folder, controllers)
        plane.ensure_certificates()
        supervisor = Supervisor(folder)
        for component in components(plane):
            supervisor.ensure(component)
            supervisor.wait(component)
        wait_until("namespace default", plane.ready_for_objects, 60)
    say(f"API server alone: {plane.server}")
    return plane


def down() -> None:
    """End the processes by their recorded ids and remove the folder."""
    folder = settings.apiserver_dir()
    lock = settings.base_dir() / "apiserver.lock"
    with only_one(lock):
        Supervisor(folder).stop_all()
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink()
    settings.forget_empty_base()


def known() -> ControlPlane | None:
    """The control plane that `up` set up before, else None."""
    folder = settings.apiserver_dir()
    if not (folder / "ports.json").exists():
        return None
    return _plane(folder, CONTROLLERS)


def components(plane: ControlPlane) -> list[Component]:
    """What runs, in the order of starting."""
    manager = plane.controller_manager()
    # Its count of all quotas every five minutes reads a cache: in a race of creates it may write a number from before.
    argv = [*manager.argv, "--resource-quota-sync-period=24h"]
    return [plane.etcd(), plane.apiserver(), dataclasses.replace(manager, argv=argv)]


def _plane(folder: Path, controllers: str) -> ControlPlane:
    return ControlPlane(
        folder,
        binaries.folder_of(binaries.KUBERNETES),
        "127.0.0.1",
        _ports(folder),
        controllers=controllers,
        # etcd, controller manager and kubectl are the node's in any case.
        apiserver_binaries=binaries.folder_of(ecosystem.kubernetes(settings.kubernetes())),
    )


def _ports(folder: Path) -> Ports:
    """Free ports, chosen once and remembered, so that several of these run side by side."""
    file = folder / "ports.json"
    if not file.exists():
        # Several that start at once all find them free, because nobody listens yet.
        with only_one(settings.cache_dir() / "ports.lock"):
            taken = _ports_of_others(folder)
            chosen: set[int] = set()
            while len(chosen) < 4:
                chosen |= {free_port()} - taken
            write_if_changed(file, json.dumps(dataclasses.asdict(Ports(*chosen))))
    return Ports(**json.loads(file.read_text()))


def _ports_of_others(folder: Path) -> set[int]:
    """What those chose whose folders of all state are beside ours, where those of tests are."""
    taken: set[int] = set()
    for file in folder.parent.parent.glob(f"*/{folder.name}/ports.json"):
        with contextlib.suppress(OSError):
            taken |= set(json.loads(file.read_text()).values())
    return taken
