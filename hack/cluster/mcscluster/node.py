"""One real node: control plane, containerd, kubelet, kube-proxy, DNS and volumes, all on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from . import addons, binaries, cgroups, ecosystem, footprint, network, rights, settings
from .apiclient import APPLY, Api, ApiError, answers
from .binaries import Module
from .controlplane import ControlPlane
from .processes import Component, Supervisor, end_process, start_time
from .runtime import Runtime
from .shell import ClusterError, only_one, say, succeeds, wait_until, write_if_changed

PORTS = settings.NODE_PORTS
AGE = "kubernetes"
"""The file with what MCS_KUBERNETES named when the node was started."""


@dataclass(frozen=True)
class Node:
    """The node's parts, whether they run or not."""

    folder: Path
    plane: ControlPlane
    runtime: Runtime
    layout: cgroups.Layout
    host: settings.Host = settings.FIRST

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.folder)

    def components(self) -> list[Component]:
        """Everything that runs, in the order of starting."""
        return [
            self.plane.etcd(),
            self.plane.apiserver(),
            self.plane.controller_manager(),
            self.plane.scheduler(),
            network.dns(self.folder),
            self.runtime.component(),
            self.kubelet(),
            self.kube_proxy(),
            self.addons(),
        ]

    def ensure_certificates(self) -> None:
        """Those of the control plane, the kubelet (as the Node authorizer wants it), kube-proxy and the add-ons."""
        self.plane.ensure_certificates()
        self.ensure_agents_certificates()
        self.plane.pki.ensure_leaf("addons", addons.USER)

    def ensure_agents_certificates(self) -> None:
        """Those of this node's kubelet and kube-proxy, of a control plane that has its own."""
        pki, host = self.plane.pki, self.host
        pki.ensure_leaf(self._kubelet, f"system:node:{host.name}", ["system:nodes"])
        pki.ensure_leaf(self._kubelet_server, host.name, hosts=[host.name, host.ip])
        pki.ensure_leaf("kube-proxy", "system:kube-proxy")
        for name in (self._kubelet, "kube-proxy"):
            pki.write_kubeconfig(name, self.plane.server)

    @property
    def _kubelet(self) -> str:
        return f"kubelet{self.host.certificates}"

    @property
    def _kubelet_server(self) -> str:
        return f"kubelet-server{self.host.certificates}"

    def kubelet(self) -> Component:
        pki, folder = self.plane.pki, self.folder
        config, resolver = folder / "kubelet.json", folder / "resolv.conf"
        argv = [
            f"{self.plane.binaries}/kubelet",
            f"--config={config}",
            f"--kubeconfig={pki.kubeconfig(self._kubelet)}",
            f"--hostname-override={self.host.name}",
            f"--node-ip={self.host.ip}",
            f"--root-dir={folder}/kubelet",
            f"--cert-dir={pki.folder}",
        ]
        text = json.dumps(self._kubelet_config(resolver), indent=1)
        files = {config: text, resolver: f"nameserver {settings.FIRST.ip}\n"}
        url = f"http://{self.host.probed_at}:{PORTS.kubelet_health}/healthz"
        return Component("kubelet", argv, lambda: answers(url), config=files, nice=settings.NODE_NICE)

    def _kubelet_config(self, resolver: Path) -> dict[str, object]:
        pki, folder = self.plane.pki, self.folder
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki.certificate("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki.certificate(self._kubelet_server)),
            "tlsPrivateKeyFile": str(pki.key(self._kubelet_server)),
            "address": self.host.ip,
            "healthzBindAddress": self.host.probed_at,
            "healthzPort": PORTS.kubelet_health,
            "containerRuntimeEndpoint": f"unix://{self.runtime.socket}",
            # A pod of 250 slots begins with twice as many requests, for their Secrets. At the default's 50 a second its
            # first container would wait for them.
            "kubeAPIQPS": 500,
            "kubeAPIBurst": 1000,
            "cgroupDriver": self.layout.driver,
            "cgroupRoot": self.layout.kubelet_root,
            "failCgroupV1": False,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,  # rules nobody needs, and nobody would remove
            "clusterDNS": [settings.FIRST.ip],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolver),  # not the host's: what pods look up stays on this machine
            "maxPods": 110,
            "podLogsDir": str(folder / "pod-logs"),
            "volumePluginDir": str(folder / "volume-plugins"),
            "evictionHard": {"memory.available": "100Mi"},
            # Images cannot be pulled again, so a full disk must not make the kubelet remove them.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
        }

    def kube_proxy(self) -> Component:
        file = self.folder / "kube-proxy.json"
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(self.plane.pki.kubeconfig("kube-proxy"))},
            "mode": "nftables",  # one table of its own, which `down` can remove whole
            "bindAddress": self.host.ip,
            "clusterCIDR": self.host.pods,
            "hostnameOverride": self.host.name,
            "nodePortAddresses": [settings.NODE_NETWORK],
            "healthzBindAddress": f"{self.host.probed_at}:{PORTS.proxy_health}",
            "metricsBindAddress": f"127.0.0.1:{PORTS.proxy_metrics}",
            # Zero: leave the machine's conntrack settings alone.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
        argv = [f"{self.plane.binaries}/kube-proxy", f"--config={file}"]
        url = f"http://{self.host.probed_at}:{PORTS.proxy_health}/healthz"
        return Component("kube-proxy", argv, lambda: answers(url), config={file: json.dumps(config, indent=1)})

    def addons(self) -> Component:
        argv = [settings.python(), str(settings.ENTRY_POINT), "run-addons"]
        # Part of the signature, so that changed code is restarted.
        code = (Path(__file__).parent / "addons.py").read_text()
        env = {"MCS_CLUSTER_DIR": str(settings.base_dir()), "PYTHONUNBUFFERED": "1"}
        return Component("addons", argv, self._named, env=env, config={self.folder / "addons.started.py": code})

    def _named(self) -> bool:
        name = "kubernetes.default.svc.cluster.local"
        return network.lookup(name) == settings.API_SERVICE_IP

    def ready(self) -> bool:
        """True when the API server calls the node Ready."""
        try:
            status = self.plane.api().get(f"/api/v1/nodes/{self.host.name}")["status"]
        except (OSError, ApiError, ValueError):
            return False
        return any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions", []))


def describe() -> Node:
    """The node as it should be on this machine; starts nothing."""
    folder, layout = settings.node_dir(), cgroups.detect()
    kubernetes, containerd, cni = (binaries.folder_of(module) for module in _modules(_age()))
    plane = ControlPlane(folder, kubernetes, settings.FIRST.ip, PORTS, endpoint=True)
    return Node(folder, plane, Runtime(folder, containerd, cni, layout), layout)


def _modules(age: str | None) -> tuple[Module, ...]:
    """What a node's programs are built from."""
    return ecosystem.kubernetes(age), binaries.CONTAINERD, binaries.CNI


def _age() -> str | None:
    """Of the Kubernetes of the node that is up, whatever is chosen now; where none is up, of the one that is chosen."""
    if not (settings.node_dir() / "before.json").exists():
        return settings.kubernetes()
    file = settings.node_dir() / AGE
    return (file.read_text() or None) if file.exists() else None


def known() -> Node | None:
    """The node that `up` set up before, else None."""
    if not (settings.node_dir() / "before.json").exists():
        return None
    return describe()


def require() -> Node:
    """The node that `up` set up; raises ClusterError without one."""
    this = known()
    if this is None:
        raise ClusterError("no cluster is up; start it with `cluster up`")
    return this


def up() -> Node:
    """Build what is missing, start what does not run, return when the node is Ready. Raises MissingRightsError."""
    _refuse_a_second_node()
    _refuse_another_version()
    rights.require_node()
    modules = _modules(_age())
    binaries.build(modules[0], "kube-apiserver")  # alone: it takes as long as all the others
    for module in modules:
        binaries.build(module)
    node = describe()
    with only_one(settings.base_dir() / "node.lock"):
        _start(node)
    binaries.build(binaries.HELM)  # last: the node needs none
    say(f"node {node.host.name} is ready: {node.plane.server}")
    return node


def _refuse_a_second_node() -> None:
    """Two would share bridge, addresses and control groups, and the end of one would kill the other's containers."""
    bridge = settings.NODE_BRIDGE
    if Path(f"/sys/class/net/{bridge}").exists() and known() is None:
        raise ClusterError(
            f"{bridge} is there, but {settings.node_dir()} is not: a node with another MCS_CLUSTER_DIR is up. "
            f"If its folder was deleted: end its processes, then `ip link delete {bridge}`"
        )


def _refuse_another_version() -> None:
    """etcd has objects in the versions of the API server that wrote them: an older one may not know them."""
    chosen, age = settings.kubernetes(), _age()
    if "kubelet" not in ecosystem.kubernetes(chosen).packages:
        raise ClusterError(f"MCS_KUBERNETES={chosen} is for an API server alone: no kubelet of it is built")
    if chosen != age:
        raise ClusterError(f"a node of another Kubernetes is up ({age or 'the usual one'}): `cluster down` first")


def _start(node: Node) -> None:
    footprint.remember(node.folder / "before.json")
    write_if_changed(node.folder / AGE, settings.kubernetes() or "")
    node.ensure_certificates()
    cgroups.prepare(node.layout)
    network.ensure()
    write_if_changed(node.folder / "cni/net.d/10-mcsnode.conflist", network.cni_config(node.folder))
    components = {component.name: component for component in node.components()}
    for name in ("etcd", "kube-apiserver"):
        node.supervisor.ensure(components[name])
        node.supervisor.wait(components[name])
    _apply_manifests(node.plane.api())
    for name in ("kube-controller-manager", "kube-scheduler", "dnsmasq", "containerd"):
        node.supervisor.ensure(components[name])
    node.supervisor.wait(components["containerd"])
    node.runtime.ensure_pause()
    for name in ("kubelet", "addons"):
        node.supervisor.ensure(components[name])
    wait_until("namespace default", node.plane.ready_for_objects, 60)
    wait_until("the node to be Ready", node.ready, 90)
    node.supervisor.ensure(components["kube-proxy"])  # looks for its Node at start
    for component in components.values():
        node.supervisor.wait(component)


def _apply_manifests(api: Api) -> None:
    paths = {
        "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
        "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    }
    for manifest in json.loads((settings.MANIFESTS / "node.json").read_text()):
        name = manifest["metadata"]["name"]
        api.patch(f"{paths[manifest['kind']]}/{name}?fieldManager=cluster&force=true", manifest, APPLY)


def down() -> None:
    """End everything, the kubelet first, so that it restarts nothing; leave the machine as it was found."""
    folder = settings.node_dir()
    lock = settings.base_dir() / "node.lock"
    with only_one(lock):
        layout, supervisor = cgroups.detect(), Supervisor(folder)
        supervisor.stop("kubelet")
        if folder.exists():
            cgroups.kill_all(layout)
        end_shims(folder)
        supervisor.stop_all()
        _unmount_below(folder)
        if folder.exists():
            cgroups.remove(layout)
            network.remove()
            footprint.put_back(folder / "before.json")
            shutil.rmtree(folder)
        lock.unlink()
    settings.forget_empty_base()


def end_shims(folder: Path) -> None:
    """End the containerd shims that serve our containerd: one per pod, none a child of a recorded process."""
    socket = f"-address\0{folder}/containerd.sock\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"containerd-shim-runc-v2" in command.split(b"\0")[0] and socket in command:
            pid = int(process.name)
            started = start_time(pid)
            if started:
                os.kill(pid, signal.SIGKILL)  # a shim ignores SIGTERM; its containers are dead
                end_process(pid, started)


def _unmount_below(folder: Path) -> None:
    """Root file systems, volumes and network namespaces, the innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        path = mount.encode().decode("unicode_escape")  # a blank is written as \040
        if not succeeds("umount", path):
            succeeds("umount", "--lazy", path)
