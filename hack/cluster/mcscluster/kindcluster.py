"""The same cluster by kind, where a Docker engine answers: kind brings runtime, network and volumes itself.

What is added to it: an audit log in our folder, /dev/net/tun in the node, DNS for the test zone in its CoreDNS, and a
route to its pods.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from . import binaries, settings
from .controlplane import audit_policy
from .runtime import archive_images
from .shell import ClusterError, clean_environment, only_one, run, run_long, say, succeeds, wait_until, write_if_changed

PODS = "10.244.0.0/16"
ROUTE = ("ip", "route")
READY = '@.type=="Ready"'
CONTAINER = f"{settings.KIND_CLUSTER}-control-plane"  # kind's name for container and node


def usable() -> bool:
    """True when a Docker engine answers."""
    return shutil.which("docker") is not None and succeeds("docker", "info", limit=15)


def known() -> bool:
    """True when `up` made a kind cluster that is not taken down yet."""
    return (settings.node_dir() / "kind.json").exists()


def up() -> None:
    """Create the cluster, or start its container again; returns when the node is Ready."""
    kind = binaries.build(binaries.KIND) / "kind"
    binaries.build(binaries.KUBERNETES, "kubectl")
    binaries.build(binaries.HELM)
    with only_one(settings.base_dir() / "node.lock"):
        if CONTAINER in run("docker", "ps", "--all", "--format", "{{.Names}}").split():
            run("docker", "start", CONTAINER)
            run(kind, "export", "kubeconfig", "--name", settings.KIND_CLUSTER, "--kubeconfig", _kubeconfig())
        else:
            _create(kind)
        wait_until("the node to be Ready", healthy, 180, pause=1)
        _reach_pods()
        _serve_test_zone()
    say(f"kind cluster {settings.KIND_CLUSTER} is ready")


def down() -> None:
    """Delete the cluster and our folder."""
    kind = binaries.build(binaries.KIND) / "kind"
    lock = settings.base_dir() / "node.lock"
    with only_one(lock):
        succeeds(*ROUTE, "delete", PODS)  # its bridge stays, and so would the route
        run(kind, "delete", "cluster", "--name", settings.KIND_CLUSTER, limit=300)
        shutil.rmtree(settings.node_dir(), ignore_errors=True)
        lock.unlink()
    settings.forget_empty_base()


def healthy() -> bool:
    """True when the node is Ready."""
    try:
        return "True" in _kubectl("get", "nodes", "-o", f"jsonpath={{.items[*].status.conditions[?({READY})].status}}")
    except ClusterError:
        return False


def load(archive: Path) -> bool:
    """Load a docker-archive unless the node has the same content under the same names."""
    wanted = archive_images(archive)
    # In containerd's CRI the id of an image is its config digest, which an archive names `<digest>.json`.
    present = json.loads(run("docker", "exec", CONTAINER, "crictl", "images", "-o", "json"))["images"]
    ids = {name: image["id"].removeprefix("sha256:") for image in present for name in image.get("repoTags") or []}
    if all(ids.get(name) == re.sub(r"^.*/|\.json$", "", config) for name, config in wanted.items()):
        return False
    kind = binaries.build(binaries.KIND) / "kind"
    run(kind, "load", "image-archive", "--name", settings.KIND_CLUSTER, archive, limit=600)
    return True


def environment() -> dict[str, str]:
    """The variables of `cluster env`."""
    modules = (binaries.KUBERNETES, binaries.HELM, binaries.KIND)
    return {
        "KUBECONFIG": str(_kubeconfig()),
        "PATH": ":".join(str(binaries.folder_of(module)) for module in modules),
        "NO_PROXY": "127.0.0.1",
        "MCS_AUDIT_LOG": str(settings.node_dir() / "log" / "audit.log"),
        "MCS_NODE_IP": _node_ip(),
        "MCS_NODE_NAME": CONTAINER,
        "MCS_TEST_ZONE": settings.TEST_ZONE,
    }


def _kubeconfig() -> Path:
    return settings.node_dir() / "kubeconfig"


def _kubectl(*arguments: str, stdin: str | None = None) -> str:
    kubectl = binaries.folder_of(binaries.KUBERNETES) / "kubectl"
    return run(kubectl, "--kubeconfig", _kubeconfig(), *arguments, stdin=stdin, env=clean_environment())


def _node_ip() -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    addresses = run("docker", "inspect", "--format", template, CONTAINER).split()
    if not addresses:
        raise ClusterError(f"the container {CONTAINER} has no address; `cluster up` starts it")
    return addresses[0]


def _create(kind: Path) -> None:
    folder = settings.node_dir()
    (folder / "log").mkdir(parents=True, exist_ok=True)
    write_if_changed(folder / "audit-policy.json", audit_policy())
    config = folder / "kind.json"
    write_if_changed(config, json.dumps(_config(folder), indent=1))
    argv: list[str | Path] = [kind, "create", "cluster", "--name", settings.KIND_CLUSTER, "--config", config,
            "--kubeconfig", _kubeconfig(), "--wait", "180s"]  # fmt: skip
    run_long("kind create cluster", argv, folder / "log" / "kind.log")


def _config(folder: Path) -> dict[str, object]:
    """kind's configuration. Host ports need no mapping: on Linux the node's own address is reachable from the host."""
    # Without apiVersion: kind then fits the arguments into whatever version of kubeadm's format the image wants.
    audit = {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {"audit-policy-file": "/mcs/audit-policy.json", "audit-log-path": "/mcs/log/audit.log"},
            "extraVolumes": [{"name": "mcs", "hostPath": "/mcs", "mountPath": "/mcs", "pathType": "Directory"}],
        },
    }
    image = settings.kind_image()
    return {
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kind": "Cluster",
        "networking": {"podSubnet": PODS, "serviceSubnet": settings.SERVICE_NETWORK},
        "nodes": [
            {
                "role": "control-plane",
                **({"image": image} if image else {}),
                "extraMounts": [
                    {"hostPath": str(folder / "log"), "containerPath": "/mcs/log"},
                    {"hostPath": str(folder / "audit-policy.json"), "containerPath": "/mcs/audit-policy.json"},
                    {"hostPath": "/dev/net/tun", "containerPath": "/dev/net/tun"},
                ],
                "kubeadmConfigPatches": [json.dumps(audit)],
            }
        ],
    }


def _reach_pods() -> None:
    """A way from here to the pods, for an operator that is a process on this machine: it asks the media pod's agent."""
    if not succeeds(*ROUTE, "replace", PODS, "via", _node_ip()):
        say(f"no way to the pods ({PODS}), which takes root: an operator outside of the cluster does not reach them")


def _serve_test_zone() -> None:
    """Put the test zone into CoreDNS: every name in it is the node."""
    zone = settings.TEST_ZONE
    block = (
        f"{zone}:53 {{\n    template IN A {zone} {{\n"
        f'        answer "{{{{ .Name }}}} 1 IN A {_node_ip()}"\n    }}\n'
        f"    template IN AAAA {zone} {{\n        rcode NOERROR\n    }}\n}}\n"
    )
    config = json.loads(_kubectl("get", "configmap", "coredns", "--namespace", "kube-system", "-o", "json"))
    corefile = config["data"]["Corefile"]
    others = re.sub(rf"^{re.escape(zone)}:53 {{\n.*?^}}\n", "", corefile, flags=re.M | re.S)
    if others + block != corefile:
        patch = json.dumps({"data": {"Corefile": others + block}})
        _kubectl("patch", "configmap", "coredns", "--namespace", "kube-system", "--type", "merge", "--patch", patch)
        _kubectl("rollout", "restart", "deployment/coredns", "--namespace", "kube-system")
