"""A DNS as a cluster has one, in a network namespace: headless Services as A records, ExternalName as CNAME.

What does not fit into 512 bytes is told by TCP alone, as the DNS does it for whoever asks without EDNS.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address

from support.lab import Namespace

A, CNAME, PORT = 1, 5, 53
_SMALL, _TRUNCATED, _NAME_ERROR = 512, 0x0200, 3
_ANSWERS = 0x8580  # an answer, with authority, by recursion


class ClusterDns:
    """``known``: the addresses of each name, or the name that it is another one of. May be changed at any time."""

    def __init__(self, namespace: Namespace, address: str) -> None:
        self.known: dict[str, list[str] | str] = {}
        self.asked: list[str] = []
        self._udp, self._tcp = namespace.socket("udp"), namespace.socket("tcp")
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for door in (self._udp, self._tcp):
            door.bind((address, PORT))
        self._tcp.listen()

    def by_udp(self) -> None:
        """Until it is closed."""
        with suppress(OSError):
            while True:
                question, peer = self._udp.recvfrom(4096)
                if not question:
                    return
                answer = self._answer(question)
                if len(answer) > _SMALL:
                    answer = question[:2] + struct.pack("!5H", _ANSWERS | _TRUNCATED, 1, 0, 0, 0) + question[12:]
                self._udp.sendto(answer, peer)

    def by_tcp(self) -> None:
        """Until it is closed."""
        with suppress(OSError):
            while True:
                asking, _ = self._tcp.accept()
                with asking, suppress(OSError, struct.error):
                    (length,) = struct.unpack("!H", asking.recv(2, socket.MSG_WAITALL))
                    answer = self._answer(asking.recv(length, socket.MSG_WAITALL))
                    asking.sendall(struct.pack("!H", len(answer)) + answer)

    def close(self) -> None:
        """Both threads end."""
        for door in (self._tcp, self._udp):
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name, (kind,) = ".".join(labels).lower(), struct.unpack("!H", question[at + 1 : at + 3])
        self.asked.append(name)
        records, owner, found = [], b"\xc0\x0c", self.known.get(name)
        if isinstance(found, str):
            target = _encoded(found)
            records.append(_record(owner, CNAME, target))
            owner, found = target, self.known.get(found, [])
        if kind == A and isinstance(found, list):
            records += [_record(owner, A, IPv4Address(address).packed) for address in found]
        flags = _ANSWERS | (_NAME_ERROR if found is None else 0)
        head = question[:2] + struct.pack("!5H", flags, 1, len(records), 0, 0)
        return head + question[12 : at + 5] + b"".join(records)


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(owner: bytes, kind: int, value: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, 5, len(value)) + value


@contextmanager
def cluster_dns(namespace: Namespace, address: str) -> Iterator[ClusterDns]:
    """It answers at this address of the namespace, by UDP and TCP."""
    dns = ClusterDns(namespace, address)
    threads = [threading.Thread(target=work) for work in (dns.by_udp, dns.by_tcp)]
    for thread in threads:
        thread.start()
    try:
        yield dns
    finally:
        dns.close()
        for thread in threads:
            thread.join()
