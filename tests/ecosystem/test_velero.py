"""Velero as its users run it, with an S3 server: a namespace is backed up, deleted, and restored, here and elsewhere.

No kubelet runs: a fake link agent stands in for the pod. Of the volume only its claim is backed up.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.api import ROOT, Api, Object, know_kinds, remove_namespaces, samples, until_established
from support.fake_agent import fake_agent, free_base_port
from support.levels import left_out_if_missing
from support.operator import Operator
from support.ports import free_port
from support.programs import answers, built, running
from support.snapshots import Identity, assert_rests, files, identities, settled
from support.waiting import until

pytestmark = pytest.mark.integration

NEEDS = (
    "Velero and versitygw, which are built the first time: 20 minutes on two very busy cores. Then it takes 4 minutes."
)
VELERO, BUCKET = "velero", "backups"
KEY, SECRET = "velero", "only-on-loopback"
PAGE = ROOT / "docs" / "disaster-recovery.md"
KEPT = ["mcsinstances", "communities", "tvoxlinks", "secrets", "configmaps"]
"""What docs/disaster-recovery.md says has to be kept, without the volume."""


@dataclass(frozen=True)
class Velero:
    """Its namespace, and its command line."""

    api: Api
    program: Path

    def run(self, *command: str) -> None:
        """As a person types it."""
        known = [f"--kubeconfig={self.api.kubeconfig}", f"--namespace={VELERO}"]
        done = subprocess.run([self.program, *command, *known], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def velero(server: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Velero]:
    """Its server, with its plugin for S3, and a bucket."""
    with left_out_if_missing():
        programs = built("velero")
    server.kubectl("apply", "--server-side", "-f", f"{programs}/crds", "-f", f"{programs}/crds-v2")
    until_established(server)
    kinds = {"Backup": "backups", "Restore": "restores", "BackupStorageLocation": "backupstoragelocations"}
    know_kinds("/apis/velero.io/v1", **kinds)
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": VELERO}})
    api, folder = server.within(VELERO), tmp_path_factory.mktemp("velero")
    with ExitStack() as started:
        store = started.enter_context(s3(programs / "versitygw", folder))
        location(api, store)
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "velero-plugin-for-aws").symlink_to(programs / "velero-plugin-for-aws")
        metrics = f"127.0.0.1:{free_port()}"
        command = [programs / "velero", "server", f"--kubeconfig={server.kubeconfig}", f"--namespace={VELERO}"]
        options = [f"--metrics-address={metrics}", f"--plugin-dir={plugins}", "--profiler-address="]
        log = folder / "velero.log"
        known = {"HOME": str(folder), "TMPDIR": str(folder)}
        started.enter_context(running(VELERO, *command, *options, log=log, ready=lambda: is_available(api), **known))
        yield Velero(api, programs / "velero")


@contextmanager
def s3(program: Path, folder: Path) -> Iterator[str]:
    """An S3 server over a folder, with one bucket; its URL."""
    place, bucket = f"127.0.0.1:{free_port()}", folder / "s3" / BUCKET
    bucket.mkdir(parents=True)
    options = [f"--port={place}", f"--access={KEY}", f"--secret={SECRET}", "--health=/health", "posix", bucket.parent]
    log = folder / "versitygw.log"
    with running("versitygw", program, *options, log=log, ready=lambda: answers(f"http://{place}/health")):
        yield f"http://{place}"


def location(api: Api, store: str) -> None:
    """Where backups are kept. The Deployment is what Velero looks itself up by; nobody runs it."""
    credentials = f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
    pod = {"metadata": {"labels": {"app": VELERO}}, "spec": {"containers": [{"name": VELERO, "image": VELERO}]}}
    spec = {
        "provider": "aws",
        "default": True,
        "objectStorage": {"bucket": BUCKET},
        "credential": {"name": "store", "key": "credentials"},
        "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": store, "checksumAlgorithm": ""},
    }
    know_kinds("/apis/apps/v1", Deployment="deployments")
    api.create(
        body("v1", "Secret", "store", stringData={"credentials": credentials}),
        body("apps/v1", "Deployment", VELERO, spec={"selector": {"matchLabels": {"app": VELERO}}, "template": pod}),
        body("velero.io/v1", "BackupStorageLocation", "default", spec=spec),
    )


def body(version: str, kind: str, name: str, **more: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": VELERO}, **more}


def is_available(api: Api) -> bool:
    """Whether Velero has found its bucket."""
    status = api.get("BackupStorageLocation", "default").get("status") or {}
    return bool(status.get("phase") == "Available")


def completed(api: Api, kind: str, name: str) -> None:
    """Until Velero says that it is done, and nothing failed."""

    def look() -> bool:
        status = api.get(kind, name).get("status") or {}
        phase = status.get("phase", "")
        if "Failed" in phase or "Invalid" in phase:
            pytest.fail(f"{kind} {name}: {status}")
        return bool(phase == "Completed")

    until(f"{kind} {name} is completed", look, 120)


def backed_up(velero: Velero, api: Api) -> str:
    """The namespace as it is now; the backup's name."""
    velero.run(*documented("backup", api.namespace))
    completed(velero.api, "Backup", api.namespace)
    return api.namespace


def restored(velero: Velero, backup: str, into: str, only: list[str]) -> None:
    """A backup, into a namespace of this name; ``only`` these kinds, or all."""
    known = [f"--include-resources={','.join(only)}"] if only else []
    velero.run(*documented("restore", backup, into), *known)
    (name,) = [body["metadata"]["name"] for body in velero.api.list("Restore") if body["spec"]["backupName"] == backup]
    completed(velero.api, "Restore", name)


def documented(deed: str, namespace: str, into: str = "") -> list[str]:
    """What docs/disaster-recovery.md says to type, for this namespace; and into another one, where it is another."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"velero {deed} create ")]
    (line,) = [line for line in lines if ("--namespace-mappings" in line) == (into not in ("", namespace))]
    said = line.partition("#")[0].replace("mcs-demo:mcs-2", f"{namespace}:{into}").replace("mcs-demo", namespace)
    return said.split()[1:]


@dataclass(frozen=True)
class Told:
    """What a customer and his TVox depend on."""

    identities: dict[str, Identity]
    ca: dict[str, str]
    pins: dict[str, str]
    places: dict[str, tuple[str, int]]
    """Address and port, by link."""

    @classmethod
    def of(cls, api: Api) -> Told:
        secrets = {secret["metadata"]["name"]: files(secret) for secret in api.list("Secret")}
        pins = {
            name: content["fingerprints.json"] for name, content in secrets.items() if "fingerprints.json" in content
        }
        status = {link["metadata"]["name"]: link["status"] for link in api.list("TVoxLink")}
        places = {name: (told["vpnAddress"], told["port"]) for name, told in status.items()}
        return cls(identities(api), secrets["mcs-ca"], pins, places)


def demo(api: Api) -> int:
    """The demo's samples in this namespace; the instance's base port."""
    base_port = free_base_port()
    for sample in samples("demo"):
        if sample["kind"] == "MCSInstance":
            sample["spec"]["vpn"]["basePort"] = base_port
        if sample["kind"] != "Namespace":
            api.create(sample | {"metadata": sample["metadata"] | {"namespace": api.namespace}})
    return base_port


def until_served(api: Api) -> None:
    until("both links are there", lambda: len(api.list("TVoxLink")) == 2)
    for link in api.list("TVoxLink"):
        api.wait_condition("TVoxLink", link["metadata"]["name"], "Ready", "True", timeout=60)
    settled(api)


@pytest.mark.parametrize("only", [[], KEPT], ids=["all of it", "what has to be kept"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "into another namespace"])
def test_a_namespace_that_was_deleted_is_restored_with_every_identity(
    velero: Velero, server: Api, api: Api, operator: Operator, elsewhere: bool, only: list[str]
) -> None:
    base_port = demo(api)
    with fake_agent(api, base_port):
        until_served(api)
        before, backup = Told.of(api), backed_up(velero, api)
    assert len(before.identities) == 2
    remove_namespaces(server, api.namespace)
    there = server.within(f"{api.namespace}-new") if elsewhere else api
    try:
        restored(velero, backup, there.namespace, only)
        settled(there)  # the agent's certificate is made anew where it was for another namespace
        with fake_agent(there, base_port):
            until_served(there)
            assert Told.of(there) == before
            assert there.condition("MCSInstance", "mcs", "Stalled")[0] == "False"
            assert_rests(there)
    finally:
        if elsewhere:
            remove_namespaces(server, there.namespace)
