"""The operator as a platform team runs it: installed by its chart, two replicas in a restricted namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mcsdemo.telling import Failed
from support.api import ROOT

NAMESPACE = "mcs-system"
DEPLOYMENT = "mcs-operator"


def install(kubeconfig: Path) -> None:
    """`hack/install`: returns when both replicas are ready."""
    _run(kubeconfig, str(ROOT / "hack" / "install"))


def uninstall(kubeconfig: Path) -> None:
    """`helm uninstall`. The CRDs stay: others may have objects of theirs."""
    helm = str(ROOT / "hack" / "helm")
    _run(kubeconfig, helm, "uninstall", DEPLOYMENT, "--namespace", NAMESPACE, "--ignore-not-found", "--wait")


def last_words(kubeconfig: Path) -> str:
    """The end of its log."""
    command = ["kubectl", "logs", "--namespace", NAMESPACE, "--selector", f"app.kubernetes.io/name={DEPLOYMENT}"]
    done = subprocess.run(
        [*command, "--tail=15", "--prefix"], env=_environment(kubeconfig), capture_output=True, text=True, check=False
    )
    return done.stdout or done.stderr


def _run(kubeconfig: Path, *command: str) -> None:
    done = subprocess.run(command, env=_environment(kubeconfig), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {done.stderr[-2000:]}{done.stdout[-500:]}")


def _environment(kubeconfig: Path) -> dict[str, str]:
    return os.environ | {"KUBECONFIG": str(kubeconfig), "MCS_INSTALL_NAMESPACE": NAMESPACE}
