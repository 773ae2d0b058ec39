"""The processes of a pod's containers, seen from their node: that has to be this machine."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from support.api import Api, Object
from support.lab import sh


def processes_of(api: Api, pod: str) -> dict[str, list[int]]:
    """The processes of each container of a pod, by the container's name; empty where the node is another machine."""
    ids: dict[str, str] = {}
    body: Object = api.get("Pod", pod)
    for status in body["status"].get("containerStatuses", []):
        ids[status.get("containerID", "").rpartition("/")[2]] = status["name"]
    found: dict[str, list[int]] = {}
    for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            places = cgroup.read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # .../pod<uid>/<container> with the driver cgroupfs, .../cri-containerd-<container>.scope with systemd
        last = {line.rpartition("/")[2].removesuffix(".scope").rpartition("-")[2] for line in places}
        for name in {ids[container] for container in last if container in ids}:
            found.setdefault(name, []).append(int(cgroup.parent.name))
    return found


def kill_container(api: Api, pod: str, container: str) -> bool:
    """SIGKILL for everything in a container; whether it ran anything."""
    found = processes_of(api, pod).get(container, [])
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def processes_at(folder: Path) -> dict[int, str]:
    """The processes that have to do with a folder, whatever namespaces they are in: their command names it, their root
    or they themselves are in it, or something of it is mounted for them. With the command of each."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            places = [str((process / link).readlink()) for link in ("root", "cwd")]
            mounts = (process / "mountinfo").read_text(errors="replace")
        except OSError:  # it has ended meanwhile, or is another user's
            continue
        if any(str(folder) in text for text in (command, *places, mounts)):
            found[int(process.name)] = command
    return found


def network_of(api: Api, pod: str) -> list[str]:
    """What a command begins with to run in a pod's network, without the time that an exec takes."""
    pids = [pid for found in processes_of(api, pod).values() for pid in found]
    assert pids, f"{pod} runs nothing on this machine"
    return ["nsenter", f"--net=/proc/{min(pids)}/ns/net"]


def network_of_node(address: str) -> list[str] | None:
    """What a command begins with to run in the network of the node that has this address: nothing, where that is this
    machine's. None where the node is another machine."""
    if sh("ip", "address", "show", "to", f"{address}/32"):
        return []
    for name in Path("/proc").glob("[0-9]*/comm"):  # a node that is a container here, as with kind
        with suppress(OSError, RuntimeError):
            network = ["nsenter", f"--net={name.parent}/ns/net"]
            if name.read_text().strip() == "kubelet" and sh(*network, "ip", "address", "show", "to", f"{address}/32"):
                return network
    return None
