"""Argo CD as its users run it: application controller, repository server and Redis, in Argo CD's own configuration.

Its API server with the pages does not run: nothing asks it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.api import ROOT, Api, Object, know_kinds, until_established
from support.git_server import BRANCH, Repository
from support.ports import free_port
from support.programs import answers, built, debian, running
from support.snapshots import Audit
from support.waiting import until

HOME = "argocd"
CONTROLLER, REPOSITORIES = "argocd-application-controller", "argocd-repo-server"
PROJECT = "customers"
EVERY = 3
"""Seconds between two of Argo CD's looks at what is there."""


@contextmanager
def argo_cd(server: Api, folder: Path) -> Iterator[Api]:
    """All of it as long as the block lasts; a client in its namespace."""
    programs = built("argocd")
    redis = debian("redis-server", "redis-server")
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
    home = server.within(HOME)
    configure(home, programs)
    with ExitStack() as started:
        cache = started.enter_context(redis_server(redis, folder))
        repositories = started.enter_context(repository_server(programs / "argocd", cache, folder))
        started.enter_context(application_controller(programs / "argocd", home, cache, repositories, folder))
        yield home


def configure(home: Api, programs: Path) -> None:
    """As in Argo CD's own manifests, and our health checks on top as docs/gitops.md has it."""
    home.kubectl("apply", "--server-side", "-k", str(programs / "crds"))
    until_established(home)
    know_kinds("/apis/argoproj.io/v1alpha1", Application="applications", AppProject="appprojects")
    home.kubectl("apply", "--server-side", "-k", str(programs / "config"))
    ours = ROOT / "manifests" / "argocd" / "argocd-cm.yaml"
    home.kubectl("apply", "--server-side", "--field-manager=mcs", "-f", str(ours))
    # Argo CD's API server would make it.
    home.merge("Secret", "argocd-secret", {"stringData": {"server.secretkey": secrets.token_urlsafe()}})
    home.create(this_cluster(home), project(PROJECT))


def this_cluster(home: Api) -> Object:
    """How Argo CD is told of a cluster. Only a pod needs not be told of its own."""
    told = json.loads(home.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
    cluster, user = told["clusters"][0]["cluster"], told["users"][0]["user"]
    tls = {
        "caData": cluster["certificate-authority-data"],
        "certData": user["client-certificate-data"],
        "keyData": user["client-key-data"],
    }
    labels = {"argocd.argoproj.io/secret-type": "cluster"}
    data = {"name": "tests", "server": home.host, "config": json.dumps({"tlsClientConfig": tls})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tests", "labels": labels}, "stringData": data}


def project(name: str, **spec: object) -> Object:
    """An AppProject that allows everything."""
    anything = [{"group": "*", "kind": "*"}]
    destinations = [{"namespace": "*", "server": "*"}]
    known = {"sourceRepos": ["*"], "destinations": destinations, "clusterResourceWhitelist": anything}
    return argo_object("AppProject", name, known | spec)


def argo_object(kind: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": HOME}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


@contextmanager
def redis_server(program: str, folder: Path) -> Iterator[str]:
    """Where Argo CD keeps what it computed; nothing is on disk."""
    port, said = free_port(), folder / "redis.log"
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]

    def ready() -> bool:
        return "Ready to accept connections" in said.read_text()

    with running("redis", program, *options, log=said, ready=ready):
        yield f"127.0.0.1:{port}"


@contextmanager
def repository_server(program: Path, redis: str, folder: Path) -> Iterator[str]:
    """It fetches repositories, and renders what is in them."""
    port, metrics = free_port(), free_port()
    addresses = ["--address=127.0.0.1", f"--port={port}", "--metrics-address=127.0.0.1", f"--metrics-port={metrics}"]
    with argocd(program, REPOSITORIES, metrics, folder, *addresses, f"--redis={redis}", "--disable-tls"):
        yield f"127.0.0.1:{port}"


@contextmanager
def application_controller(program: Path, home: Api, redis: str, repositories: str, folder: Path) -> Iterator[None]:
    """It compares, syncs and judges. Its metrics are on all addresses, which cannot be set."""
    metrics = free_port()
    where = [f"--kubeconfig={home.kubeconfig}", f"--namespace={HOME}", f"--metrics-port={metrics}"]
    others = [f"--redis={redis}", f"--repo-server={repositories}", "--repo-server-plaintext"]
    # What it says of each object, and not of the whole alone.
    told = ["--persist-resource-health"]
    with argocd(program, CONTROLLER, metrics, folder, *where, *others, *told):
        yield


@contextmanager
def argocd(program: Path, name: str, health: int, folder: Path, *options: str) -> Iterator[None]:
    """One of Argo CD's programs; ready when it says so."""
    known = {
        "ARGOCD_BINARY_NAME": name,
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_RECONCILIATION_TIMEOUT": f"{EVERY}s",
        "ARGOCD_RECONCILIATION_JITTER": "0s",
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    url = f"http://127.0.0.1:{health}/healthz"
    with running(name, program, *options, log=folder / f"{name}.log", ready=lambda: answers(url), **known):
        yield


@dataclass(frozen=True)
class Application:
    """An Application of Argo CD, in the namespace of `home`."""

    home: Api
    name: str

    @classmethod
    def begin(
        cls,
        home: Api,
        repository: Repository,
        path: str,
        into: str,
        sync_options: Sequence[str] = (),
        compare: str = "",
    ) -> Application:
        """Have Argo CD follow a folder of the repository into a namespace, by itself, and put back what is changed."""
        automated = {"prune": True, "selfHeal": True}
        spec = {
            "project": PROJECT,
            "source": {"repoURL": repository.url, "path": path, "targetRevision": BRANCH},
            "destination": {"server": home.host, "namespace": into},
            "syncPolicy": {"automated": automated, "syncOptions": list(sync_options)},
        }
        body = argo_object("Application", path, spec)
        body["metadata"]["annotations"] = {"argocd.argoproj.io/compare-options": compare}
        home.create(body)
        return cls(home, path)

    def status(self) -> Object:
        status: Object = self.home.get("Application", self.name).get("status") or {}
        return status

    def is_(self, health: str, sync: str = "Synced") -> None:
        """Until Argo CD says so."""

        def look() -> bool:
            status = self.status()
            told = status.get("sync", {}).get("status"), status.get("health", {}).get("status")
            assert told == (sync, health), (told, self.told(), status.get("conditions"))
            return True

        until(f"{self.name} is {sync} and {health}", look, 60)

    def synced(self, revision: str, health: str = "Healthy") -> None:
        """Until this commit is applied, and this is what Argo CD says of it."""
        until("Argo CD has the commit", lambda: self.status().get("sync", {}).get("revision") == revision, 60)
        self.is_(health)

    def judged(self) -> dict[str, tuple[str, str]]:
        """Health and message of each object that has a health, by kind/name."""
        found = {f"{one['kind']}/{one['name']}": one.get("health") or {} for one in self.status().get("resources", [])}
        return {name: (one["status"], one.get("message", "")) for name, one in found.items() if one.get("status")}

    def history(self) -> list[str]:
        """What Argo CD said of health and sync: one Event for each change, whose name ends with the time."""
        events = [one for one in self.home.list("Event") if one["involvedObject"]["name"] == self.name]
        return [str(one["message"]) for one in events if one["reason"] == "ResourceUpdated"]

    def looks(self, audit: Audit) -> int:
        """How often Argo CD compared since then: it writes that down each time."""
        return audit.requests(HOME, CONTROLLER).count(f"patch applications/{self.name}")

    def until_looked(self, times: int = 2) -> None:
        """Until Argo CD has compared again; the first time may have begun before."""
        for _ in range(times):
            last = self.status().get("reconciledAt")
            until("Argo CD has looked again", lambda last=last: self.status().get("reconciledAt") != last, 60)

    def told(self) -> str:
        """What Argo CD says of its latest sync."""
        return str((self.status().get("operationState") or {}).get("message", ""))

    def failure(self) -> str:
        """What the latest sync failed at, object by object; empty where it did not."""
        result = (self.status().get("operationState") or {}).get("syncResult") or {}
        return "; ".join(one["message"] for one in result.get("resources", []) if one.get("status") == "SyncFailed")
