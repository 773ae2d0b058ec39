"""The pinned Prometheus and promtool, where they are built."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.api import ROOT, Api, Object
from support.ports import free_port
from support.snapshots import files
from support.waiting import until


def prometheus_folder() -> Path:
    """Where promtool and Prometheus are; what needs them is left out, also in CI, where they are not built: that takes
    minutes, and is `make alerts`' to do."""
    command = [str(ROOT / "hack" / "prometheus")]
    done = subprocess.run(command, env={**os.environ, "MCS_NO_BUILD": "1"}, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("Prometheus is not built here; `make alerts` builds it")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


class Prometheus:
    """A Prometheus that runs, at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    def query(self, expression: str) -> list[Any]:
        """The result now; an error where the expression is none."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/api/v1/query?{asked}", timeout=10) as answer:
            found: list[Any] = json.loads(answer.read())["data"]["result"]
        return found

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def prometheus(folder: Path, jobs: list[Object]) -> Iterator[Prometheus]:
    """A Prometheus with these jobs and nothing else, which keeps its data in ``folder``."""
    configuration = folder / "prometheus.yaml"
    configuration.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    port = free_port()
    command = [
        str(prometheus_folder() / "prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            running = Prometheus(port)
            until("Prometheus answers", running.is_ready, 30)
            yield running
        finally:
            process.terminate()


def job_of_pods(name: str, endpoint: Object, labels: dict[str, str], api: Api, folder: Path, token: str = "") -> Object:
    """A job as prometheus-operator makes it of a monitor's endpoint: found by Kubernetes, with the endpoint's secrets.

    ``labels``: of the pods, which are in the namespace of ``api``; there is its Secret, too. ``token``: of Prometheus'
    own account, for an endpoint that wants this one.
    """
    kept = [
        {"source_labels": [f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9]', '_', key)}"], "regex": value}
        for key, value in labels.items()
    ]
    job: Object = {
        "job_name": name,
        "honor_labels": endpoint["honorLabels"],
        "metrics_path": endpoint["path"],
        "kubernetes_sd_configs": [
            {"role": "pod", "kubeconfig_file": str(api.kubeconfig), "namespaces": {"names": [api.namespace]}}
        ],
        "relabel_configs": [{**rule, "action": "keep"} for rule in kept]
        + [{_snake(key): value for key, value in rule.items()} for rule in endpoint.get("relabelings", [])],
    }
    if "tlsConfig" not in endpoint:
        return job
    mine = folder / name
    mine.mkdir()
    ca = endpoint["tlsConfig"]["ca"]["secret"]
    (mine / "ca.crt").write_text(files(api.get("Secret", ca["name"]))[ca["key"]])
    if "authorization" in endpoint:
        known = endpoint["authorization"]["credentials"]
        token = files(api.get("Secret", known["name"]))[known["key"]]
    (mine / "token").write_text(token)
    return job | {
        "scheme": endpoint["scheme"],
        "authorization": {"credentials_file": str(mine / "token")},
        "tls_config": {"ca_file": str(mine / "ca.crt"), "server_name": endpoint["tlsConfig"]["serverName"]},
    }


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)
