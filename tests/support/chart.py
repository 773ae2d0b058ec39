"""The chart as Helm renders it, by kind and name."""

from __future__ import annotations

import functools
import os
import subprocess
from typing import Any

import yaml

from support.api import ROOT
from support.cluster import MissingError
from support.levels import left_out_if_missing

CHART = ROOT / "charts" / "mcs-operator"
Object = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The pinned Helm; not built here, since these tests take seconds."""
    command = [str(ROOT / "hack" / "helm"), *arguments]
    done = subprocess.run(
        command, env={**os.environ, "MCS_NO_BUILD": "1"}, capture_output=True, text=True, check=False, timeout=60
    )
    with left_out_if_missing():
        if done.returncode == 3:
            raise MissingError("Helm is not built yet; `make generate` builds it")
    return done


@functools.cache
def _rendered(values: tuple[str, ...]) -> str:
    done = helm("template", "mcs-operator", str(CHART), "--namespace", "mcs-system", *(f"--set={v}" for v in values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(*values: str) -> dict[tuple[str, str], Object]:
    """What the chart installs with these values, by kind and name."""
    return {key: body for key, body in all_bodies(values) if not _is_hook(body)}


def checked(*values: str) -> dict[tuple[str, str], Object]:
    """What `helm test` makes, and takes away again."""
    return {key: body for key, body in all_bodies(values) if _is_hook(body)}


def all_bodies(values: tuple[str, ...]) -> list[tuple[tuple[str, str], Object]]:
    """Everything, by kind and name, of which there may be several in several namespaces."""
    bodies = [body for body in yaml.load_all(_rendered(values), Loader=yaml.CSafeLoader) if body]  # 0.2 s without C
    return [((body["kind"], body["metadata"]["name"]), body) for body in bodies]


def _is_hook(body: Object) -> bool:
    return "helm.sh/hook" in (body["metadata"].get("annotations") or {})


def deployment(*values: str) -> Object:
    """The operator's Deployment."""
    return rendered(*values)["Deployment", "mcs-operator"]


def pod(*values: str) -> Object:
    """The spec of the operator's pod."""
    spec: Object = deployment(*values)["spec"]["template"]["spec"]
    return spec


def operator(*values: str) -> Object:
    """Its one container."""
    (container,) = pod(*values)["containers"]
    return dict(container)


def refusal(value: str) -> str:
    """What Helm says against this value."""
    done = helm("template", "x", str(CHART), f"--set={value}")
    assert done.returncode != 0, f"{value} was accepted"
    return done.stderr
