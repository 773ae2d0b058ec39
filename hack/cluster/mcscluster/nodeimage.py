"""A node image for kind of our own, as there is no registry to pull one from.

It is built as kind builds its own: kind's files in a Debian, kubeadm and the programs of a node, and in its container
runtime the images of the control plane. Where kind's own has a network of pods by kindnet, which cannot be had as a Go
module, this one has the same plugins with a configuration of its own, for one node.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import binaries, packages, settings, toolchain
from .ecosystem import CRICTL, KIND_NODE, LOCAL_PATH
from .rights import require_root
from .runtime import compiled, write_archive
from .shell import ClusterError, only_one, run, run_long, say, succeeds, wait_until

NAME = "kindest/node"
SUITE = "bookworm"  # its systemd still takes control groups of version 1
PACKAGES = ("systemd", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "kmod", "mount", "procps", "jq",
            "runc", "busybox-static")  # fmt: skip
FOR_BUILD = {"debootstrap": Path("debootstrap"), "gcc": Path("cc"), "libc6-dev": Path("/usr/include/stdio.h")}
MODULES = (binaries.KUBERNETES, binaries.CONTAINERD, binaries.CNI, binaries.KIND, KIND_NODE, CRICTL, LOCAL_PATH)
POD_NETWORK = "10.244.0.0/24"
"""Of the first node in kind's network of pods."""
KEPT = 1
TABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


def name() -> str:
    """The image's name, which tells the version of Kubernetes."""
    return f"{NAME}:{binaries.KUBERNETES.required_version()}"


def build() -> Path:
    """The root file system of the node as a .tar.gz: built where the cache does not have it. Raises ClusterError."""
    require_root("a node image is built by debootstrap and chroot")
    packages.install(FOR_BUILD)
    for module in MODULES:
        binaries.build(module)
    folder = settings.cache_dir() / "kind"
    archive = folder / f"node-{_key()}.tar.gz"
    with only_one(folder / "node.lock"):
        if archive.exists():
            os.utime(archive)
            return archive
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as work:
            tree = Path(work, "tree")
            _lay_out(tree)
            _pack(tree, archive)
    for old in sorted(folder.glob("node-*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        old.unlink()
    return archive


def _key() -> str:
    """Hash of all that decides the content, but for the versions of Debian's packages."""
    parts = [*(module.key() for module in MODULES), (settings.SOURCES / "pause.c").read_text()]
    parts.append(Path(__file__).read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _lay_out(tree: Path) -> None:
    log = settings.cache_dir() / "log" / "debootstrap.log"
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, tree, _mirror()]
    run_long("bootstrapping Debian for a node of kind", command, log)
    _set_up_system(tree)
    _install_programs(tree)
    _set_up_runtime(tree)
    _write_manifests(tree)
    _import_images(tree)
    for unwanted in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(tree / unwanted)
    for machines_own in ("etc/resolv.conf", "etc/hostname"):
        (tree / machines_own).unlink(missing_ok=True)


def _mirror() -> str:
    """This machine's own mirror of the suite."""
    told = run("apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {SUITE}", "Created-By: Packages")
    if not told:
        raise ClusterError(f"apt knows no mirror of Debian {SUITE}")
    return told.splitlines()[0]


@functools.cache
def _kinds_sources() -> Path:
    go, _ = toolchain.go()
    command = (go, "-C", binaries.KIND.folder, "mod", "download", "-json", "sigs.k8s.io/kind")
    return Path(json.loads(run(*command, env={**os.environ, "GOTOOLCHAIN": "local"}, limit=300))["Dir"])


def _set_up_system(tree: Path) -> None:
    """kind's own files, and of systemd's services only those of a node: as its Dockerfile has it."""
    for source in sorted((_kinds_sources() / "images/base/files").rglob("*")):
        path = source.relative_to(_kinds_sources() / "images/base/files")
        if source.is_file() and path.parts[0] != "LICENSES":
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755 if "bin" in path.parts else 0o644)
    units = tree / "lib/systemd/system"
    for wants in ("multi-user", "local-fs", "basic"):
        for unit in (units / f"{wants}.target.wants").glob("*"):
            unit.unlink()
    for unit in (tree / "etc/systemd/system").glob("*.wants/*"):
        unit.unlink()
    for pattern in ("sysinit.target.wants/systemd-tmpfiles-setup.service", "sockets.target.wants/*udev*",
                    "sockets.target.wants/*initctl*"):  # fmt: skip
        for unit in units.glob(pattern):
            unit.unlink()
    with (tree / "etc/systemd/journald.conf").open("a") as settings_of_journal:
        settings_of_journal.write("ReadKMsg=no\n")
    (tree / "usr/sbin/init").symlink_to("/usr/lib/systemd/systemd")
    for service in ("kubelet", "containerd", "undo-mount-hacks"):
        run("chroot", tree, "systemctl", "enable", f"{service}.service")
    run("chroot", tree, "systemctl", "mask", "systemd-binfmt.service")
    (tree / "etc/kubernetes/manifests").mkdir(parents=True)
    # Its default is to refuse control groups of version 1, which this machine may have.
    with (tree / "etc/default/kubelet").open("a") as arguments:
        arguments.write(" --fail-cgroupv1=false\n")


def _install_programs(tree: Path) -> None:
    places = {
        "usr/bin": [(binaries.KUBERNETES, "kubelet"), (binaries.KUBERNETES, "kubectl"), (KIND_NODE, "kubeadm")],
        "usr/local/bin": [*((binaries.CONTAINERD, name) for name in binaries.CONTAINERD.packages),
                          (CRICTL, "crictl")],
        "opt/cni/bin": [(binaries.CNI, name) for name in binaries.CNI.packages],
    }  # fmt: skip
    for place, programs in places.items():
        (tree / place).mkdir(parents=True, exist_ok=True)
        for module, program in programs:
            shutil.copy(binaries.folder_of(module) / program, tree / place / program)
    (tree / "kind/version").write_text(binaries.KUBERNETES.required_version())


def _set_up_runtime(tree: Path) -> None:
    config = tree / "etc/containerd/config.toml"
    # Without CAP_SYS_RESOURCE no process may lower its own score, and every sandbox would die at start.
    config.write_text(config.read_text().replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true"))
    base = json.loads(run(binaries.folder_of(binaries.CONTAINERD) / "ctr", "oci", "spec"))
    base["hooks"] = {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]}
    base["process"].pop("rlimits", None)
    (tree / "etc/containerd/cri-base.json").write_text(json.dumps(base))
    network = {
        "type": "ptp",
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-ipam-state",
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    (tree / "etc/cni/net.d").mkdir(parents=True)
    text = json.dumps({"cniVersion": "1.0.0", "name": "kindnet", "plugins": [network, ports]}, indent=1)
    (tree / "etc/cni/net.d/10-kindnet.conflist").write_text(text)


def _write_manifests(tree: Path) -> None:
    """What kind applies to a new cluster: its own storage, and for the network nothing that runs."""
    (tree / "kind/manifests").mkdir()
    (tree / "kind/manifests/default-storage.yaml").write_text(_kinds_storage())
    about = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pod-network", "namespace": "kube-system"},
        "data": {"configured-by": "the node image, in /etc/cni/net.d"},
    }
    (tree / "kind/manifests/default-cni.yaml").write_text(json.dumps(about))


def _kinds_storage() -> str:
    source = (_kinds_sources() / "pkg/build/nodeimage/const_storage.go").read_text()
    manifest = re.search(r"const defaultStorageManifest = `(.*?)`\n*\Z", source, re.S)
    if not manifest:
        raise ClusterError("kind's manifest of its storage is not where it was")
    constants = _storage_images()
    return re.sub(r"` \+ (\w+) \+ `", lambda found: constants[found[1]], manifest[1])


def _storage_images() -> dict[str, str]:
    """The names of constants in kind's source -> the images that they name."""
    source = (_kinds_sources() / "pkg/build/nodeimage/const_storage.go").read_text()
    return dict(re.findall(r'^const (\w+) = "([^"]+)"', source, re.M))


# -------------------------------------------------------------------------------------- the images of the control plane


def _import_images(tree: Path) -> None:
    """All of them into the tree's container runtime, by a containerd of this machine."""
    with tempfile.TemporaryDirectory(prefix="mcs-kind-images-") as work, _containerd(tree, Path(work)) as ctr:
        for number, archive in enumerate(_archives(tree, Path(work))):
            say(f"  image {number + 1} for the node")
            label = "--label=io.cri-containerd.pinned=pinned"
            run(*ctr, "images", "import", "--local", "--no-unpack", label, archive)
            archive.unlink()


@contextmanager
def _containerd(tree: Path, work: Path) -> Iterator[list[str | Path]]:
    """A containerd that keeps its content in the tree; how to call ctr for it."""
    programs, socket = binaries.folder_of(binaries.CONTAINERD), work / "containerd.sock"
    config = work / "containerd.toml"
    config.write_text(
        f'version = 3\nroot = "{tree}/var/lib/containerd"\nstate = "{work}/state"\n'
        'disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", '
        '"io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n'
        f'[grpc]\n  address = "{socket}"\n[ttrpc]\n  address = "{socket}.ttrpc"\n'
        f"[plugins.'io.containerd.internal.v1.opt']\n  path = \"{work}/opt\"\n"
    )
    ctr: list[str | Path] = [programs / "ctr", "--address", socket, "--namespace", "k8s.io"]
    with (work / "containerd.log").open("wb") as log:
        process = subprocess.Popen([programs / "containerd", "--config", config], stdout=log, stderr=log)
        try:
            wait_until("containerd", lambda: succeeds(*ctr, "version"), 30)
            yield ctr
        finally:
            process.terminate()
            process.wait()


def _archives(tree: Path, work: Path) -> Iterator[Path]:
    """A docker-archive of each image, one after the other: together they would fill the memory."""
    archive = work / "image.tar"
    kubernetes, ours = binaries.folder_of(binaries.KUBERNETES), binaries.folder_of(KIND_NODE)
    names = _images_of_kubeadm(ours)
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        program = (kubernetes / component).read_bytes()
        write_archive(archive, names[component], {f"bin/{component}": program}, [])
        yield archive
    _write_kube_proxy(tree, archive, names["kube-proxy"])
    yield archive
    write_archive(archive, names["etcd"], {"bin/etcd": (ours / "server").read_bytes()}, [])
    yield archive
    write_archive(archive, names["coredns"], {"coredns": (ours / "kind-node").read_bytes()}, ["/coredns"])
    yield archive
    pause = compiled(settings.SOURCES / "pause.c").read_bytes()
    write_archive(archive, _sandbox_image(tree), {"pause": pause}, ["/pause"])
    yield archive
    images = _storage_images()
    provisioner = {
        "bin/local-path-provisioner": (binaries.folder_of(LOCAL_PATH) / "local-path-provisioner").read_bytes()
    }
    write_archive(archive, images["storageProvisionerImage"], provisioner, [])
    yield archive
    busybox = {"bin/busybox": (tree / "bin/busybox").read_bytes()}
    links = {f"bin/{command}": "busybox" for command in ("sh", "mkdir", "rm")}
    write_archive(archive, images["storageHelperImage"], busybox, [], links)
    yield archive


def _images_of_kubeadm(programs: Path) -> dict[str, str]:
    """What kubeadm of this version starts a cluster from: the names of programs -> those of images."""
    version = binaries.KUBERNETES.required_version()
    listed = run(programs / "kubeadm", "config", "images", "list", "--kubernetes-version", version).split()
    return {image.rpartition("/")[2].partition(":")[0]: image for image in listed}


def _sandbox_image(tree: Path) -> str:
    found = re.search(r'sandbox_image = "(\S+)"', (tree / "etc/containerd/config.toml").read_text())
    if not found:
        raise ClusterError("kind's configuration of containerd names no image for sandboxes")
    return found[1]


def _write_kube_proxy(tree: Path, archive: Path, name: str) -> None:
    """kube-proxy with the programs by which it writes its rules, and their libraries, from the node's own tree."""
    programs = {"xtables-nft-multi": "usr/sbin/xtables-nft-multi", "nft": "usr/sbin/nft",
                "conntrack": "usr/sbin/conntrack"}  # fmt: skip
    files = {f"bin/{program}": (tree / path).read_bytes() for program, path in programs.items()}
    files["usr/local/bin/kube-proxy"] = (binaries.folder_of(binaries.KUBERNETES) / "kube-proxy").read_bytes()
    extensions = sorted(tree.glob("usr/lib/*/xtables/*.so"))
    files |= {str(path.relative_to(tree)): path.read_bytes() for path in extensions}
    loaded = [f"/{path}" for path in programs.values()] + [f"/{path.relative_to(tree)}" for path in extensions]
    for library in set(re.findall(r"(/\S+) \(0x", run("chroot", tree, "ldd", *loaded))):
        files[library.lstrip("/")] = (tree / library.lstrip("/")).read_bytes()
    write_archive(archive, name, files, [], {f"bin/{table}": "xtables-nft-multi" for table in TABLES})


def _pack(tree: Path, archive: Path) -> None:
    started, fresh = time.monotonic(), archive.with_name(f".{archive.name}.new")
    with fresh.open("wb") as output:
        tar = subprocess.Popen(["tar", "--numeric-owner", "-C", tree, "-c", "."], stdout=subprocess.PIPE)
        gzip = subprocess.run(["gzip", "-1"], stdin=tar.stdout, stdout=output, check=False)
        if tar.wait() or gzip.returncode:
            raise ClusterError(f"the node image could not be packed: tar {tar.returncode}, gzip {gzip.returncode}")
    fresh.replace(archive)
    say(f"  node image: {archive.stat().st_size / 2**20:.0f} MiB, packed in {time.monotonic() - started:.0f} s")
