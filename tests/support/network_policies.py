"""kube-network-policies, which enforces NetworkPolicies on a real node: it is asked about the first packet of every
connection that the node forwards from or to a pod."""

from __future__ import annotations

import base64
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from support.api import Api
from support.cluster import MissingError
from support.dual_stack import PODS_6
from support.lab import sh
from support.ports import free_port
from support.programs import answers, built, debian, running

PODS = "10.244.0.0/24"
QUEUE = "100"
OWN_TABLE = ("inet", "kube-network-policies")
ACCOUNT = "kube-network-policies"
SECRETS = "/run/secrets/kubernetes.io"


@contextmanager
def enforced(server: Api, node: str, folder: Path) -> Iterator[None]:
    """As long as the block lasts, for the pods of this node. What nobody has a policy for goes on as before."""
    program = built("networkpolicy")
    programs = {PODS: debian("iptables", "iptables-legacy"), PODS_6: debian("iptables", "ip6tables-legacy")}
    home = server.within("kube-system")
    manifest = yaml.safe_load_all((program / "manifests" / "install.yaml").read_text())
    rights = yaml.safe_dump_all(body for body in manifest if body and body["kind"] != "DaemonSet")
    with ExitStack() as closing:
        closing.callback(home.kubectl, "delete", "--ignore-not-found", "-f", "-", stdin=rights)
        home.kubectl("apply", "-f", "-", stdin=rights)
        write_account(home, folder)
        closing.callback(subprocess.run, ["nft", "delete", "table", *OWN_TABLE], capture_output=True, check=False)
        closing.enter_context(controller(program / "cmd", server, node, folder))
        if not has_own_rules():
            for pods, iptables in programs.items():
                hand_over_packets(iptables, pods, closing)
        yield


def write_account(home: Api, folder: Path) -> None:
    """What a pod finds of its service account: the program knows no kubeconfig."""
    kubeconfig = yaml.safe_load(home.kubeconfig.read_text())
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    (folder / "token").write_text(home.kubectl("create", "token", ACCOUNT, "--duration=2h"))
    (folder / "ca.crt").write_bytes(base64.b64decode(authority))


@contextmanager
def controller(program: Path, server: Api, node: str, folder: Path) -> Iterator[None]:
    """The program; ready when the kernel knows who listens to the queue. It has a /run of its own, for its account."""
    metrics = f"127.0.0.1:{free_port()}"
    options = [f"--nfqueue-id={QUEUE}", f"--metrics-bind-address={metrics}", f"--hostname-override={node}"]
    own = f"mount -t tmpfs none /run && mkdir -p {SECRETS} && ln -s {shlex.quote(str(folder))} {SECRETS}/serviceaccount"
    # SIGTERM would end it at once, and leave its rules behind; the caller takes them away.
    command = ["unshare", "--mount", "sh", "-c", f'{own} && exec "$@"', "sh", program, *options, "--disable-nri"]
    address = urlsplit(server.host)
    known = {"KUBERNETES_SERVICE_HOST": address.hostname or "", "KUBERNETES_SERVICE_PORT": str(address.port)}

    def ready() -> bool:
        return answers(f"http://{metrics}/metrics") and is_listened_to()

    with running("kube-network-policies", *command, log=folder / "log", ready=ready, **known):
        yield


def is_listened_to() -> bool:
    """Whether somebody has the queue."""
    known = Path("/proc/net/netfilter/nfnetlink_queue")
    if not known.exists():
        raise MissingError("this kernel has no queue for packets (nfnetlink_queue)")
    return any(line.split()[0] == QUEUE for line in known.read_text().splitlines())


def has_own_rules() -> bool:
    """Whether the program has made its own. It cannot where the kernel has no queue in nftables."""
    done = subprocess.run(["nft", "list", "table", *OWN_TABLE], capture_output=True, text=True, check=False)
    return f"queue to {QUEUE}" in done.stdout


def hand_over_packets(iptables: str, pods: str, closing: ExitStack) -> None:
    """As its own rules do: the first packet of each connection, but not those of the node itself, which no policy
    keeps out.

    With `bypass`, so that the node's pods are not cut off where the program ends first.
    """
    for side in ("--source", "--destination"):
        rule = ["FORWARD", side, pods, "--match", "conntrack", "--ctstate", "NEW"]
        rule += ["--jump", "NFQUEUE", "--queue-num", QUEUE, "--queue-bypass"]
        sh(iptables, "--wait", "--table", "mangle", "--insert", *rule)
        closing.callback(sh, iptables, "--wait", "--table", "mangle", "--delete", *rule)
