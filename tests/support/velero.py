"""Velero as its users run it: its server as a process, its plugin for S3, and an S3 server over a folder."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.api import ROOT, Api, Object, know_kinds, remove_namespaces, until_established
from support.cluster import CLUSTER, Node
from support.lab import sh
from support.ports import free_port
from support.programs import answers, running
from support.waiting import until

NAME, BUCKET = "velero", "backups"
KEY, SECRET = "velero", "only-on-this-machine"
IMAGE = "localhost/velero:dev"
PAGE = ROOT / "docs" / "disaster-recovery.md"


@dataclass(frozen=True)
class Velero:
    """Its namespace, and its command line."""

    api: Api
    program: Path

    def run(self, *command: str) -> str:
        """As a person types it; what it says."""
        known = [f"--kubeconfig={self.api.kubeconfig}", f"--namespace={NAME}"]
        done = subprocess.run([self.program, *command, *known], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def backed_up(self, namespace: str, *more: str) -> None:
        """The namespace as it is now, by a backup of its name."""
        self.run(*documented("backup", namespace), *more)
        self.completed("Backup", namespace)

    def restored(self, namespace: str, into: str = "", *more: str) -> None:
        """The backup of this namespace; into another one, where one is named."""
        self.run(*documented("restore", namespace, into), *more)
        backup = {body["metadata"]["name"]: body["spec"]["backupName"] for body in self.api.list("Restore")}
        (name,) = [restore for restore, of in backup.items() if of == namespace]
        self.completed("Restore", name)

    def completed(self, kind: str, name: str) -> None:
        """Until Velero says that it is done, and nothing failed."""

        def look() -> bool:
            status = self.api.get(kind, name).get("status") or {}
            phase = status.get("phase", "")
            if "Failed" in phase or "Invalid" in phase:
                pytest.fail(f"{kind} {name}: {status}")
            return bool(phase == "Completed")

        until(f"{kind} {name} is completed", look, 120)


@contextmanager
def velero(server: Api, programs: Path, folder: Path, address: str = "127.0.0.1") -> Iterator[Velero]:
    """Its server, with its plugin for S3, and a bucket at this address."""
    server.kubectl("apply", "--server-side", "-f", f"{programs}/crds", "-f", f"{programs}/crds-v2")
    until_established(server)
    kinds = {"Backup": "backups", "Restore": "restores", "BackupStorageLocation": "backupstoragelocations"}
    know_kinds("/apis/velero.io/v1", **kinds)
    know_kinds("/apis/apps/v1", Deployment="deployments", DaemonSet="daemonsets")
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
    api = server.within(NAME)
    with s3(programs / "versitygw", folder, address) as store:
        location(api, store)
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "velero-plugin-for-aws").symlink_to(programs / "velero-plugin-for-aws")
        metrics = f"127.0.0.1:{free_port()}"
        command = [programs / "velero", "server", f"--kubeconfig={server.kubeconfig}", f"--namespace={NAME}"]
        options = [f"--metrics-address={metrics}", f"--plugin-dir={plugins}", "--profiler-address="]
        log = folder / "velero.log"
        known = {"HOME": str(folder), "TMPDIR": str(folder)}
        with running(NAME, *command, *options, log=log, ready=lambda: is_available(api), **known):
            yield Velero(api, programs / "velero")


@contextmanager
def node_agent(velero: Velero, node: Node, folder: Path) -> Iterator[None]:
    """What saves the content of volumes, on the node, as Velero's own installer declares it."""
    archive = folder / "velero.tar"
    programs = [velero.program, velero.program.with_name("velero-restore-helper")]
    sh(ROOT / "hack" / "ecosystem" / "image", archive, IMAGE, *programs)
    sh(CLUSTER, "load", archive)
    archive.unlink()
    declared = json.dumps(agent_declared(velero, node))
    try:
        velero.api.kubectl("apply", "-f", "-", stdin=declared)
        velero.api.kubectl("rollout", "status", "daemonset/node-agent", "--timeout=60s", timeout=70)
        yield
    finally:
        velero.run("restore", "delete", "--all", "--confirm")  # by its server, which removes what holds them
        until("no restore is left", lambda: not velero.api.list("Restore"), 60)
        velero.api.kubectl("delete", "-f", "-", stdin=declared)
        remove_namespaces(velero.api, NAME)
        sh("ctr", "images", "remove", "--sync", IMAGE)


def agent_declared(velero: Velero, node: Node) -> Object:
    """The DaemonSet and its account of `velero install`."""
    options = ["--use-node-agent", "--no-default-backup-location", "--no-secret", "--use-volume-snapshots=false"]
    options += ["--plugins=none", f"--image={IMAGE}", f"--kubelet-root-dir={node.kubeconfig.parent}/kubelet"]
    said = velero.run("install", "--dry-run", "--output=json", *options)
    wanted = ("ServiceAccount", "ClusterRoleBinding", "DaemonSet")
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [one for one in json.loads(said)["items"] if one["kind"] in wanted],
    }


@contextmanager
def s3(program: Path, folder: Path, address: str) -> Iterator[str]:
    """An S3 server over a folder, with one bucket; its URL."""
    place, bucket = f"{address}:{free_port()}", folder / "s3" / BUCKET
    bucket.mkdir(parents=True)
    options = [f"--port={place}", f"--access={KEY}", f"--secret={SECRET}", "--health=/health", "posix", bucket.parent]
    log = folder / "versitygw.log"
    with running("versitygw", program, *options, log=log, ready=lambda: answers(f"http://{place}/health")):
        yield f"http://{place}"


def location(api: Api, store: str) -> None:
    """Where backups are kept. The Deployment is what Velero looks itself up by; nobody runs it."""
    credentials = f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
    pod = {"metadata": {"labels": {"app": NAME}}, "spec": {"containers": [{"name": NAME, "image": IMAGE}]}}
    deployment = {"replicas": 0, "selector": {"matchLabels": {"app": NAME}}, "template": pod}
    spec = {
        "provider": "aws",
        "default": True,
        "objectStorage": {"bucket": BUCKET},
        "credential": {"name": "store", "key": "credentials"},
        "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": store, "checksumAlgorithm": ""},
    }
    api.create(
        body("v1", "Secret", "store", stringData={"credentials": credentials}),
        body("apps/v1", "Deployment", NAME, spec=deployment),
        body("velero.io/v1", "BackupStorageLocation", "default", spec=spec),
    )


def body(version: str, kind: str, name: str, **more: Object) -> Object:
    """An object of Velero's namespace."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAME}, **more}


def is_available(api: Api) -> bool:
    """Whether Velero has found its bucket."""
    status = api.get("BackupStorageLocation", "default").get("status") or {}
    return bool(status.get("phase") == "Available")


def documented(deed: str, namespace: str, into: str = "") -> list[str]:
    """What docs/disaster-recovery.md says to type, for this namespace; and into another one, where it is another."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"velero {deed} create ")]
    elsewhere = into not in ("", namespace)
    (line,) = [
        line for line in lines if ("--namespace-mappings" in line) == elsewhere and "--default-volumes" not in line
    ]
    said = line.partition("#")[0].replace("mcs-demo:mcs-2", f"{namespace}:{into}").replace("mcs-demo", namespace)
    return said.split()[1:]
