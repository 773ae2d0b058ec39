"""A Docker engine of a test's own: Debian's, with a network, mounts and processes of its own.

It has no way to anywhere but to its own bridges. Its socket is at the usual place, but in its own /run: no other build
and no node of this machine finds it. When its first process ends the kernel ends all the others, and with them goes
what they mounted and the network that they had.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from support.api import ROOT
from support.cluster import MissingError
from support.lab import sh
from support.programs import debian
from support.waiting import until

BOUNDED = ROOT / "hack" / "ecosystem" / "runc-within-bounds"
SYS_RESOURCE = 24
# A kubelet sets these, and they are the whole machine's.
SYSCTLS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
CONTROL_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Engine:
    """One that answers. ``pid`` is its first process, ``folder`` holds all that it has."""

    folder: Path
    pid: int

    def inside(self, *command: str | Path) -> list[str | Path]:
        """The command in its network, among its mounts and processes."""
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--pid", *command]

    def beside(self, *command: str | Path) -> list[str | Path]:
        """The command among its mounts and processes, so that it finds the engine; but in this machine's network."""
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", *command]

    def docker(self, *arguments: str | Path) -> str:
        return sh(*self.inside("docker", *arguments))

    def take(self, name: str, archive: Path, *changes: str) -> None:
        """Make an image of a root file system."""
        options = [option for change in changes for option in ("--change", change)]
        self.docker("import", *options, archive, name)


@contextmanager
def docker_engine(folder: Path, instead: Mapping[Path, Path]) -> Iterator[Engine]:
    """Begins when it answers; ends with all that it ran, and with what that changed on this machine.

    ``instead``: folders of this machine, and what is there for whoever is inside.
    """
    if os.geteuid():
        raise MissingError("a Docker engine of one's own needs root")
    for package, program in (("docker.io", "dockerd"), ("runc", "runc"), ("iptables", "iptables")):
        debian(package, program)
    before = {name: Path("/proc/sys", name).read_text() for name in SYSCTLS if Path("/proc/sys", name).exists()}
    group = f"mcs-engine-{os.getpid()}"
    log = folder / "dockerd.log"
    with ExitStack() as closing:
        closing.callback(_restore, before)
        closing.callback(_remove_control_groups, group)
        with log.open("wb") as output:
            command = _command(folder, group, instead)
            holder = subprocess.Popen(command, env=_environment(), stdout=output, stderr=output)
        closing.callback(end, holder)
        engine = Engine(folder, until("the engine's first process", lambda: _child(holder), 10))
        until(f"the engine answers; see {log}", lambda: _answers(engine, holder), 60)
        yield engine


def _command(folder: Path, group: str, instead: Mapping[Path, Path]) -> list[str | Path]:
    daemon = ["/usr/sbin/dockerd", f"--data-root={folder}/data", "--oom-score-adjust=0", f"--cgroup-parent=/{group}",
              "--storage-driver=overlay2"]  # fmt: skip
    if not _bounding() >> SYS_RESOURCE & 1:
        daemon += [f"--add-runtime=bounded={BOUNDED}", "--default-runtime=bounded"]
    lines = ["set -e", "ip link set lo up", "mount -t tmpfs none /run", "mkdir /run/lock /run/netns"]
    lines += [f"mount --bind '{source}' '{place}'" for place, source in instead.items()]
    lines += ['"$@" &', 'trap "kill $!" TERM', "wait $!", "wait $!"]  # the first one ends with the signal
    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
    return [*namespaces, "sh", "-c", "\n".join(lines), "engine", *daemon]


def _environment() -> Mapping[str, str]:
    """Without proxies, and without the programs of our own node: it starts the containerd that belongs to it."""
    return {"PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": os.environ["HOME"]}


def _bounding() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)


def _child(holder: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _answers(engine: Engine, holder: subprocess.Popen[bytes]) -> bool:
    if holder.poll() is not None:
        text = (engine.folder / "dockerd.log").read_text(errors="replace")
        raise RuntimeError(f"the Docker engine ended with {holder.returncode}:\n{text[-3000:]}")
    try:
        engine.docker("version")
    except RuntimeError:
        return False
    return True


def end(holder: subprocess.Popen[bytes], patience: float = 40) -> None:
    """The engine ends its containers, and then itself; what will not is killed with its first process."""
    if holder.poll() is not None:
        return
    first = _child(holder) or holder.pid  # before it has begun there is nothing in there
    for signal in (15, 9):
        with suppress(ProcessLookupError):
            os.kill(first, signal)
        with suppress(subprocess.TimeoutExpired):
            holder.wait(patience)
            return
    raise RuntimeError(f"the engine goes on after SIGKILL for its first process, {first}")


def _restore(before: Mapping[str, str]) -> None:
    for name, value in before.items():
        if Path("/proc/sys", name).read_text() != value:
            Path("/proc/sys", name).write_text(value)


def _remove_control_groups(group: str) -> None:
    """In every hierarchy, the innermost first; they are empty, but a moment ago they were not."""
    end = time.monotonic() + 10
    for top in [CONTROL_GROUPS / group, *CONTROL_GROUPS.glob(f"*/{group}")]:
        for folder in sorted((path for path in [top, *top.rglob("*")] if path.is_dir()), reverse=True):
            while folder.exists():
                with suppress(OSError):
                    folder.rmdir()
                    break
                assert time.monotonic() < end, f"{folder} has processes still"
                time.sleep(0.1)
