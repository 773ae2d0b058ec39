"""The version of before: its tree, its images under a tag of their own, and its chart."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.api import ROOT, Api
from support.images import load_renamed

TAG = "before"
IMAGES = ("operator", "link", "appliance")
UNTAGGED = "52a8bdf"
"""Where no version was tagged yet: the last commit before images and sizes changed in the pod that runs, and before
portals. A pod of it is the furthest from today's that a customer may have."""


@dataclass(frozen=True)
class Before:
    """``tree``: all of its files."""

    commit: str
    tree: Path

    @property
    def chart(self) -> Path:
        """Its chart."""
        return self.tree / "charts" / "mcs-operator"

    def load(self, *names: str, tag: str = TAG) -> None:
        """Build these of its images as it does, and have the node hold them."""
        command = [self.tree / "hack" / "images" / "build", *names]
        built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        for name, archive in zip(names, built, strict=True):
            load_renamed(Path(archive), f"localhost/mcs/{name}:dev", image(name, tag))


def image(name: str, tag: str = TAG) -> str:
    """What the node calls an image of the version of before."""
    return f"localhost/mcs/{name}:{tag}"


def last_version(repository: Path = ROOT) -> str:
    """The commit that MCS_FROM names, or that of the last tag."""
    return os.environ.get("MCS_FROM") or _last_tag(repository) or UNTAGGED


def check_out(folder: Path, commit: str) -> Before:
    """All files as of this commit."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "--extract", f"--directory={folder}"], input=archive, check=True)
    return Before(commit, folder)


def _last_tag(repository: Path) -> str:
    """Of a commit before this one: at the very commit of a release the version of before is the release before it."""
    command = ["git", "-C", repository, "describe", "--tags", "--abbrev=0", "HEAD^"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@dataclass(frozen=True)
class Installed:
    """The operator by its chart, in the namespace of ``home``."""

    home: Api

    def install(self, chart: Path, tag: str) -> None:
        """This chart with the images of this tag, whatever is there: returns when its replicas are ready."""
        images = (f"--set=image.tag={tag}", f"--set=linkImage.tag={tag}")
        # A node that has been used knows our kinds from another installation, which left them when it went.
        adopting = ("--take-ownership", "--force-conflicts")
        self._helm("upgrade", "--install", "mcs-operator", str(chart), *adopting, *images)

    def roll_back(self) -> None:
        """To what it was before."""
        self._helm("rollback", "mcs-operator", "--force-conflicts")

    def uninstall(self) -> None:
        """With its pods."""
        self._helm("uninstall", "mcs-operator")

    def images(self) -> set[str]:
        """Which the replicas run."""
        pods = self.home.list("Pod", "app.kubernetes.io/name=mcs-operator")
        there = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        return {container["image"] for pod in there for container in pod["spec"]["containers"]}

    def logs(self) -> str:
        """What the replicas said."""
        return self.home.kubectl("logs", "--selector=app.kubernetes.io/name=mcs-operator", "--tail=200", check=False)

    def _helm(self, *command: str) -> None:
        arguments = [ROOT / "hack" / "helm", *command, "--namespace", self.home.namespace, "--wait", "--timeout=3m"]
        environment = os.environ | {"KUBECONFIG": str(self.home.kubeconfig)}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}\n{self.logs()[-4000:]}"
