"""What the node changes on the machine outside its own folder, remembered before and put back after."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import settings
from .packages import program
from .shell import run, write_if_changed

# Set by us (forwarding) or by the kubelet and CNI plugins.
SYSCTLS = (
    "net.ipv4.ip_forward",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
)
# Folders whose place is fixed in containerd, the kubelet or the CNI plugins. One that was there before is left alone.
FOLDERS = (
    "/run/containerd",
    "/run/nri",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    "/usr/libexec/kubernetes",
    "/opt/cni",
    "/opt/containerd",
    "/opt/nri",
)


def remember(file: Path) -> None:
    """Write down the machine as it is; done once, before anything is changed."""
    if file.exists():
        return
    before = {
        "sysctls": {name: _sysctl(name).read_text().strip() for name in SYSCTLS if _sysctl(name).exists()},
        "absent": [folder for folder in FOLDERS if not Path(folder).exists()],
        "tables": _tables(),
    }
    write_if_changed(file, json.dumps(before, indent=1))


def put_back(file: Path) -> None:
    """Undo the changes; without a record (nothing was started) there is nothing to undo."""
    for result in Path("/var/lib/cni/results").glob(f"{settings.CNI_NETWORK}-*"):
        result.unlink()
    if not file.exists():
        return
    before = json.loads(file.read_text())
    for name, value in before["sysctls"].items():
        if _sysctl(name).read_text().strip() != value:
            _sysctl(name).write_text(value)
    for folder in before["absent"]:
        path = Path(folder)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    _remove_new_tables(before["tables"])


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _tables() -> list[str]:
    return run(program("nft"), "list", "tables").splitlines()


def _remove_new_tables(before: list[str]) -> None:
    """Remove the tables of the portmap plugin, unless another CNI network had made them before."""
    for table in set(_tables()) - set(before):
        if table.endswith(" cni_hostport"):
            run(program("nft"), "delete", *table.split())
