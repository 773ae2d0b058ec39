"""etcd, API server, controller manager and scheduler: the same for the whole node and for the API server alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from . import settings
from .apiclient import Api, ApiError, answers
from .certificates import Pki
from .packages import program
from .processes import Component
from .settings import Ports

ADMINS = "system:masters"


@dataclass(frozen=True)
class ControlPlane:
    """Where one control plane lives and listens. `address` is where the API server listens."""

    folder: Path
    binaries: Path
    address: str
    ports: Ports
    controllers: str = "*"  # of the controller manager
    endpoint: bool = False  # True: the API server announces itself as the service `kubernetes`
    apiserver_binaries: Path | None = None  # where the API server is of another version than the rest

    @property
    def pki(self) -> Pki:
        return Pki(self.folder / "pki")

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.ports.api}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.folder / "log" / "audit.log"

    def api(self, user: str = "admin") -> Api:
        return Api(self.server, self.pki, user)

    def ensure_certificates(self) -> None:
        """Certificates and kubeconfigs of the control plane and its administrator."""
        pki = self.pki
        pki.ensure_ca()
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                 "kubernetes.default.svc.cluster.local"]  # fmt: skip
        addresses = dict.fromkeys(["127.0.0.1", settings.API_SERVICE_IP, self.address])
        pki.ensure_leaf("apiserver", "kube-apiserver", hosts=[*names, *addresses])
        pki.ensure_leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", [ADMINS])
        pki.ensure_leaf("admin", "admin", [ADMINS])
        pki.write_kubeconfig("admin", self.server, self.kubeconfig)
        for name in ("controller-manager", "scheduler"):
            pki.ensure_leaf(name, f"system:kube-{name}")
            pki.write_kubeconfig(name, self.server)

    def etcd(self) -> Component:
        client = f"http://127.0.0.1:{self.ports.etcd}"
        peer = f"http://127.0.0.1:{self.ports.etcd_peer}"
        argv = [
            program("etcd"),
            "--name=mcs",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=mcs={peer}",
            "--unsafe-no-fsync",  # the data may die with the machine: it is a test cluster
            "--logger=zap",
            "--log-level=warn",
        ]
        # GOMAXPROCS and friends stay the default; etcd 3.4 refuses unknown ETCD_* variables, so none are passed.
        return Component("etcd", argv, lambda: answers(f"{client}/health"))

    def apiserver(self) -> Component:
        pki = self.pki
        policy = self.folder / "audit-policy.json"
        argv = [
            f"{self.apiserver_binaries or self.binaries}/kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.ports.api}",
            f"--service-cluster-ip-range={settings.SERVICE_NETWORK}",
            f"--tls-cert-file={pki.certificate('apiserver')}",
            f"--tls-private-key-file={pki.key('apiserver')}",
            f"--client-ca-file={pki.certificate('ca')}",
            f"--service-account-key-file={pki.folder}/sa.pub",
            f"--service-account-signing-key-file={pki.key('sa')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=Node,RBAC",
            # Defaults hold ResourceQuota, PodSecurity, LimitRanger, the webhooks and more.
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--kubelet-certificate-authority={pki.certificate('ca')}",
            f"--kubelet-client-certificate={pki.certificate('apiserver-kubelet-client')}",
            f"--kubelet-client-key={pki.key('apiserver-kubelet-client')}",
            "--kubelet-preferred-address-types=InternalIP",  # the node's name is in no DNS: exec and logs would fail
            f"--endpoint-reconciler-type={'lease' if self.endpoint else 'none'}",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=2",
            "--profiling=false",
        ]
        # A third of its processor time would be the collection of garbage, and two cores have other work. Eight of them
        # run at once, and after a thousand namespaces each would hold 1.8 GB for it.
        garbage = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
        return Component("kube-apiserver", argv, self.api_ready, config={policy: audit_policy()}, env=garbage)

    def controller_manager(self) -> Component:
        pki, port = self.pki, self.ports.controller_manager
        config = pki.kubeconfig("controller-manager")
        argv = [
            f"{self.binaries}/kube-controller-manager",
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={self.folder}/pki/controller-manager",
            f"--controllers={self.controllers}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={pki.key('sa')}",
            f"--root-ca-file={pki.certificate('ca')}",
            f"--cluster-signing-cert-file={pki.certificate('ca')}",
            f"--cluster-signing-key-file={pki.key('ca')}",
            "--leader-elect=false",
            "--profiling=false",
        ]
        return Component("kube-controller-manager", argv, lambda: answers(f"https://127.0.0.1:{port}/healthz"))

    def scheduler(self) -> Component:
        config, port = self.pki.kubeconfig("scheduler"), self.ports.scheduler
        argv = [
            f"{self.binaries}/kube-scheduler",
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={self.folder}/pki/scheduler",
            "--leader-elect=false",
            "--profiling=false",
        ]
        return Component("kube-scheduler", argv, lambda: answers(f"https://127.0.0.1:{port}/healthz"))

    def api_ready(self) -> bool:
        """True when the API server says it is ready to a client with our certificate."""
        try:
            return self.api().text("/readyz") == "ok"
        except (OSError, ApiError, ValueError):
            return False

    def ready_for_objects(self) -> bool:
        """True when `default` has its service account and the CA: both come late, and without them pods are refused."""
        try:
            self.api().get("/api/v1/namespaces/default/serviceaccounts/default")
            self.api().get("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
        except (OSError, ApiError, ValueError):
            return False
        return True


def audit_policy() -> str:
    """Who did what, without bodies: enough to count the writes of one user."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    }
    return json.dumps(policy, indent=1)
