"""Programs built from Go modules and cached under the hash of everything that decides their content."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import settings, toolchain
from .shell import ClusterError, only_one, run, run_long

FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")


@dataclass(frozen=True, eq=False)
class Module:
    """A folder with a go.mod, a go.sum and the packages built from it, in hack/cluster/go unless said otherwise."""

    name: str
    packages: dict[str, str]  # program -> Go package
    version_of: str = ""  # the required module whose version the programs must report, as Kubernetes does
    tags: str = ""  # build tags: what is left out
    beside: Path = settings.GO_MODULES
    files: Mapping[str, str] = field(default_factory=dict)  # folder -> "module//path" of what goes there: CRDs

    @property
    def folder(self) -> Path:
        return self.beside / self.name

    def ldflags(self) -> str:
        """Linker flags: no debug data; for Kubernetes the version too, else a kubelet calls itself v0.0.0."""
        if not self.version_of:
            return "-s -w"
        version = self.required_version()
        major, minor = version.lstrip("v").split(".")[:2]
        settable = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        return " ".join(["-s", "-w", *(f"-X {p}.{name}={value}" for p in packages for name, value in settable.items())])

    def required_version(self) -> str:
        """The version of `version_of` in go.mod, such as v1.35.4."""
        found = re.search(rf"^\s*(?:require )?{re.escape(self.version_of)} (v\S+)", self._text("go.mod"), re.M)
        if not found:
            raise ClusterError(f"{self.folder}/go.mod does not require {self.version_of}")
        return found.group(1)

    def key(self) -> str:
        """Hash of go.mod, go.sum, flags and Go version: another key is another binary."""
        _, go_version = toolchain.go()
        parts = [self._text("go.mod"), self._text("go.sum"), *FLAGS, self.ldflags(), "CGO_ENABLED=0", go_version]
        parts += [self.tags] if self.tags else []
        parts += [f"{folder}={source}" for folder, source in self.files.items()]
        parts += [source.read_text() for source in sorted(self.folder.glob("*.go")) if not is_test(source)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _text(self, file: str) -> str:
        return (self.folder / file).read_text()


def is_test(source: Path) -> bool:
    return source.name.endswith("_test.go")


_K8S = "k8s.io/kubernetes/cmd/"
_CONTAINERD = "github.com/containerd/containerd/v2/cmd/"
KUBERNETES = Module(
    "kubernetes",
    {
        name: _K8S + name
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kubectl",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
        )
    },
    version_of="k8s.io/kubernetes",
)
CONTAINERD = Module(
    "containerd", {name: _CONTAINERD + name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
)
_CNI = "github.com/containernetworking/plugins/plugins/"
CNI = Module(
    "cni",
    {
        "ptp": f"{_CNI}main/ptp",
        "loopback": f"{_CNI}main/loopback",
        "portmap": f"{_CNI}meta/portmap",
        "host-local": f"{_CNI}ipam/host-local",
    },
)
HELM = Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"})
KIND = Module("kind", {"kind": "sigs.k8s.io/kind"})
LINTERS = Module(
    "linters",
    {
        "actionlint": "github.com/rhysd/actionlint/cmd/actionlint",
        "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    },
)
_PROMETHEUS = "github.com/prometheus/prometheus/cmd/"
PROMETHEUS = Module(
    "prometheus",
    {name: _PROMETHEUS + name for name in ("promtool", "prometheus")},
    tags="remove_all_sd,enable_kubernetes_sd",  # the clients of twenty clouds would double what is built
)
PEBBLE = Module("pebble", {"pebble": "github.com/letsencrypt/pebble/v2/cmd/pebble"})  # an ACME server for tests
DEVICE_PLUGIN = Module("deviceplugin", {"deviceplugin": "."})
LOAD = Module("load", {"load": "."})  # participants of calls without a browser
COSIGN = Module("cosign", {"cosign": "github.com/sigstore/cosign/v3/cmd/cosign"})  # signs releases, and verifies them
KREW = Module("krew", {"krew": "sigs.k8s.io/krew/cmd/krew"})  # kubectl's manager of plugins
GITOPS = Module("gitops", {"gitops": "."})  # the libraries by which Flux and Argo CD judge an object
# The appliance's own: its media server, and the relay that leads to it and nowhere else.
LIVEKIT = Module(
    "livekit", {"server": "github.com/livekit/livekit-server/cmd/server"}, beside=settings.APPLIANCE_MODULES
)
RELAY = Module("relay", {"relay": "."}, beside=settings.APPLIANCE_MODULES)


@functools.cache
def folder_of(module: Module) -> Path:
    """Where the programs of a module are, built or not."""
    return settings.cache_dir() / "bin" / f"{module.name}-{module.key()}"


def build(module: Module, *programs: str) -> Path:
    """Build what is not in the cache (all programs by default); returns the folder. Raises ClusterError."""
    folder = folder_of(module)
    wanted = programs or tuple(module.packages)
    if all((folder / name).exists() for name in (*wanted, *module.files)):
        return folder
    with only_one(folder.with_suffix(".lock")):
        absent = [name for name in wanted if not (folder / name).exists()]
        if absent:
            _go_build(module, absent, folder)
        for name, source in module.files.items():
            if not (folder / name).exists():
                _copy(module, source, folder / name)
    return folder


def test(module: Module) -> str:
    """Run the tests beside a module's sources; returns what they say. Raises ClusterError."""
    go, _ = toolchain.go()
    return run("nice", "-n", "5", go, "test", "-C", module.folder, *FLAGS, "./...", env=_environment(), limit=270)


def _environment() -> dict[str, str]:
    """GOTOOLCHAIN=local: no toolchain of its own choice. GOWORK=off: a go.work above must not change what is built."""
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _go_build(module: Module, programs: list[str], folder: Path) -> None:
    go, _ = toolchain.go()
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    argv: list[str | Path] = [
        "nice",
        "-n",
        "5",
        go,
        "build",
        "-v",
        *FLAGS,
        "-tags",
        module.tags,
        "-ldflags",
        module.ldflags(),
        "-o",
        f"{fresh}/",
    ]
    argv += [module.packages[name] for name in programs]
    log = settings.cache_dir() / "log" / f"build-{module.name}.log"
    run_long(f"building {', '.join(programs)}", argv, log, cwd=module.folder, env=_environment())
    folder.mkdir(parents=True, exist_ok=True)
    for name in programs:
        (fresh / name).replace(folder / name)  # atomic: who finds the file finds all of it
    shutil.rmtree(fresh)


def _copy(module: Module, source: str, target: Path) -> None:
    """A folder of a module that go.mod requires, or one file of it: Go's own cache of modules may be emptied."""
    go, _ = toolchain.go()
    required, _, path = source.partition("//")
    told = run(go, "-C", module.folder, "mod", "download", "-json", required, env=_environment(), limit=600)
    found = Path(json.loads(told)["Dir"]) / path
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in found.glob("*.yaml") if found.is_dir() else [found]:
        shutil.copyfile(file, fresh / file.name)
    fresh.replace(target)
