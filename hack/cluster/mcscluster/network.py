"""The node's network: a bridge with the node's address, routes that keep stray packets here, DNS for the test zone.

    host, test clients ── mcsnode0 10.89.0.1/24 (NODE_IP)      pods ── one veth each, 10.244.0.0/24, routed

Pods are routed (CNI plugin ptp), not bridged: every packet between two of them passes the host's rules, so that host
ports and Services see the true source address without bridge filtering.
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

from . import settings
from .packages import program
from .processes import Component
from .shell import run, succeeds

TABLE = "mcsnode"
BRIDGE, NODE_IP, PODS = settings.NODE_BRIDGE, settings.FIRST.ip, settings.POD_NETWORKS


def ensure() -> None:
    """Bridge, routes, forwarding and rules; repeats do no harm."""
    ip = program("ip")
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        run(ip, "link", "add", BRIDGE, "type", "bridge")
    run(ip, "address", "replace", f"{NODE_IP}/{settings.NODE_NETWORK.split('/')[1]}", "dev", BRIDGE)
    run(ip, "link", "set", BRIDGE, "up")
    # A service address must have a route, or it is refused before kube-proxy's rules see it; one that is no Service
    # then dies on our bridge instead of leaving by the default route. So do addresses of pods that are gone.
    run(ip, "route", "replace", settings.SERVICE_NETWORK, "dev", BRIDGE)
    for pods in PODS:
        run(ip, "route", "replace", "unreachable", pods, "metric", "9999")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run(program("nft"), "-f", "-", stdin=_rules())


def remove() -> None:
    """Take all of it away; what is missing is no error."""
    succeeds("nft", "delete", "table", "ip", TABLE)
    for family in ("ip", "ip6"):
        succeeds("nft", "delete", "table", family, "kube-proxy")
    for pods in PODS:
        succeeds("ip", "route", "delete", "unreachable", pods, "metric", "9999")
    succeeds("ip", "link", "delete", BRIDGE)


def present() -> bool:
    """True when the bridge has its address and our rules are loaded."""
    addresses = run(program("ip"), "-o", "address", "show") if Path(f"/sys/class/net/{BRIDGE}").exists() else ""
    return f"{NODE_IP}/" in addresses and succeeds("nft", "list", "table", "ip", TABLE)


def _rules() -> str:
    pods = ", ".join(PODS)
    return f"""
table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
    # Pods reach pods, the node and test networks on its bridge, and nothing beyond this machine.
    chain forward {{
        type filter hook forward priority filter - 10; policy accept;
        ct state established,related accept
        ip saddr {{ {pods} }} ip daddr != {{ {pods}, {settings.NODE_NETWORK} }} reject with icmp type admin-prohibited
    }}
}}
"""


def cni_config(state: Path, pods: str = settings.FIRST.pods) -> str:
    """The CNI configuration list: a routed veth per pod, then its host ports.

    portmap's nftables backend: 500 host ports of one pod in one transaction (its iptables backend needs over 10 s),
    and only a pod that calls itself, or a caller on 127.0.0.1, loses its source address.
    """
    routed = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(state / "cni/addresses"),
            "ranges": [[{"subnet": pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True, "backend": "nftables"}
    plugins = {"cniVersion": "1.0.0", "name": settings.CNI_NETWORK, "plugins": [routed, ports]}
    return json.dumps(plugins, indent=1)


def dns(state: Path) -> Component:
    """dnsmasq on NODE_IP: *.mcs.test is the node, Services and files in dns/ are known, all else does not exist.

    It has no upstream server: nothing that a test looks up leaves the machine.
    """
    names = state / "dns"
    names.mkdir(parents=True, exist_ok=True)
    config = state / "dnsmasq.conf"
    text = "\n".join(
        [
            "no-resolv",
            "no-hosts",
            "bind-interfaces",
            f"listen-address={NODE_IP}",
            f"address=/{settings.TEST_ZONE}/{NODE_IP}",
            f"local=/{settings.TEST_ZONE}/",  # AAAA: no such record, rather than no such name, which ends a lookup
            "local=/#/",  # without an upstream the answer would be REFUSED, and resolvers would try again
            f"hostsdir={names}",  # watched: a new file counts at once
            "local-ttl=1",
            "cache-size=0",
            "user=root",  # the state folder may be closed to others
            "pid-file=",
            "log-facility=-",
            "",
        ]
    )
    argv = [program("dnsmasq"), "--keep-in-foreground", f"--conf-file={config}"]
    return Component("dnsmasq", argv, lambda: lookup(f"probe.{settings.TEST_ZONE}") == NODE_IP, config={config: text})


def lookup(name: str, server: str = NODE_IP) -> str | None:
    """The IPv4 address of a name, asked straight from `server`; None when there is none or no answer in a second."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">HHHHHH", 0x4D43, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(1)
        try:
            channel.sendto(query, (server, 53))
            answer = channel.recv(512)
        except OSError:
            return None
    answers = struct.unpack(">H", answer[6:8])[0]
    return socket.inet_ntoa(answer[-4:]) if answers == 1 else None
