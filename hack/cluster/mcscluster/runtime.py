"""containerd and the images in it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import settings
from .cgroups import Layout
from .packages import program
from .processes import Component
from .shell import ClusterError, run, say, succeeds, write_if_changed

NAMESPACE = "k8s.io"  # of the images and containers that Kubernetes sees


class Runtime:
    """The node's containerd."""

    def __init__(self, state: Path, binaries: Path, cni: Path, layout: Layout) -> None:
        self._state, self._binaries, self._cni, self._layout = state, binaries, cni, layout
        self.socket = state / "containerd.sock"
        self.registries = state / "registries"  # hosts.toml and certificates of each, read at every pull

    def component(self) -> Component:
        config = self._state / "containerd.toml"
        return Component(
            "containerd",
            [str(self._binaries / "containerd"), "--config", str(config)],
            self.answers,
            config={config: self._config()},
            env={
                # containerd starts its shim by name.
                "PATH": f"{self._binaries}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                # At each start and end of a container it decodes the specifications of all in the pod: garbage.
                "GOGC": "400",
            },
            nice=settings.NODE_NICE,
        )

    def answers(self) -> bool:
        """True when containerd answers a request."""
        return succeeds(self._binaries / "ctr", "--address", self.socket, "version", limit=10)

    def ctr(self, *arguments: str | Path, limit: float = 300) -> str:
        """Run ctr in Kubernetes' namespace."""
        return run(self._binaries / "ctr", "--address", self.socket, "--namespace", NAMESPACE, *arguments, limit=limit)

    def images(self) -> dict[str, str]:
        """Image name -> digest of what containerd has."""
        rows = (line.split() for line in self.ctr("images", "list").splitlines()[1:])
        return {row[0]: row[2] for row in rows if len(row) > 2}

    def load(self, archive: Path) -> bool:
        """Import a docker-archive unless the very same content is there; True when something was imported.

        The archive's config digest covers the content of every layer; containerd lists another digest, so both are
        remembered together.
        """
        wanted = archive_images(archive)
        known_file = self._state / "images.json"
        known = json.loads(known_file.read_text()) if known_file.exists() else {}
        present = self.images()
        if all(name in present and known.get(name) == [config, present[name]] for name, config in wanted.items()):
            return False
        self.ctr("images", "import", "--local", archive)
        present = self.images()
        known.update({name: [config, present.get(name, "")] for name, config in wanted.items()})
        write_if_changed(known_file, json.dumps(known, indent=1))
        return True

    def unload(self, registry: str) -> list[str]:
        """Remove the images whose names begin with this registry; their names. Others may have the same content."""
        present = self.images()
        named = sorted(name for name in present if name.startswith(f"{registry}/"))
        # What was pulled has its id for another name, under which it would stay.
        ids = {name for name in present if name.startswith("sha256:")}
        elsewhere = {digest for name, digest in present.items() if name not in ids and name not in named}
        only_here = {present[name] for name in named} - elsewhere
        gone = [*named, *(name for name in sorted(ids) if present[name] in only_here)]
        if gone:
            self.ctr("images", "remove", "--sync", *gone)
        return named

    def ensure_pause(self) -> None:
        """Build and import the image that holds a pod's namespaces; none can be pulled."""
        binary = compiled(settings.SOURCES / "pause.c")
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            write_archive(Path(file.name), settings.PAUSE_IMAGE, {"pause": binary.read_bytes()}, ["/pause"])
            self.load(Path(file.name))

    def _config(self) -> str:
        state, systemd = self._state, str(self._layout.driver == "systemd").lower()
        return f"""version = 3
root = "{state}/containerd"
state = "{state}/containerd-run"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "{self.socket}"
[ttrpc]
  address = "{self.socket}.ttrpc"
[plugins.'io.containerd.internal.v1.opt']
  path = "{state}/containerd-opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{settings.PAUSE_IMAGE}"
# Its default is two folders, of which pulls by the transfer service, the usual ones, find neither.
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{self.registries}"
[plugins.'io.containerd.cri.v1.runtime']
  # Without CAP_SYS_RESOURCE no process may lower its own score, and every sandbox would die at start.
  restrict_oom_score_adj = true
  # So that `down` finds every network namespace among the mounts below our folder.
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{self._cni}"]
    conf_dir = "{state}/cni/net.d"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = "{program("runc")}"
      Root = "{state}/runc"
      SystemdCgroup = {systemd}
"""


def archive_images(archive: Path) -> dict[str, str]:
    """Image name -> config digest of a docker-archive."""
    try:
        with tarfile.open(archive) as tar:
            manifest = tar.extractfile("manifest.json")
            entries = json.load(manifest) if manifest else []
    except (OSError, KeyError, tarfile.TarError, ValueError) as error:
        raise ClusterError(f"{archive} is no docker-archive: {error}") from error
    return {name: entry["Config"] for entry in entries for name in entry.get("RepoTags") or []}


def write_archive(archive: Path, name: str, files: Mapping[str, bytes], entrypoint: list[str],
                  links: Mapping[str, str] | None = None) -> None:  # fmt: skip
    """Write a docker-archive of one layer: executable `files` and symbolic `links`; the same input, the same bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, content in sorted(files.items()):
            _add(tar, path, content, 0o755)
        for path, target in sorted((links or {}).items()):
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64" if _machine() == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "hack/cluster"}],
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    entry = {"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}.tar"]}
    with tarfile.open(archive, "w") as tar:
        _add(tar, config_name, config)
        _add(tar, f"{digest}.tar", layer.getvalue())
        _add(tar, "manifest.json", json.dumps([entry]).encode())


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(path)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def _machine() -> str:
    return platform.machine()


def compiled(source: Path) -> Path:
    """A static program from one C file, cached by its content."""
    key = hashlib.sha256(source.read_bytes() + _machine().encode()).hexdigest()[:16]
    binary = settings.cache_dir() / "bin" / f"{source.stem}-{key}"
    if not binary.exists():
        say(f"compiling {source.name}")
        binary.parent.mkdir(parents=True, exist_ok=True)
        fresh = binary.with_suffix(".new")
        run(program("cc"), "-Os", "-static", "-s", "-Wall", "-Werror", "-o", fresh, source)
        fresh.replace(binary)
    return binary
