"""A client of TURN (RFC 8656), as far as tests need one: one allocation by UDP, TCP or a Unix socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

COOKIE = 0x2112A442
BINDING, ALLOCATE, REFRESH, SEND, DATA, PERMIT = 0x001, 0x003, 0x004, 0x006, 0x007, 0x008
_USERNAME, _INTEGRITY, _ERROR, _PEER, _DATA, _REALM, _NONCE, _RELAYED, _TRANSPORT, _LIFETIME = (
    0x0006, 0x0008, 0x0009, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016, 0x0019, 0x000D,
)  # fmt: skip
_MAPPED, _PRIORITY, _CONTROLLED = 0x0020, 0x0024, 0x8029
Attributes = dict[int, bytes]


def credential(secret: str, expires: float, name: str = "x") -> tuple[str, str]:
    """User name and password of TURN's REST kind."""
    username = f"{int(expires)}:{name}"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


class RefusedError(Exception):
    """By the server; `code` is its reason."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


@dataclass
class Client:
    """Connected to `to`: ("udp"|"tcp", port of loopback), or the path of a Unix socket."""

    to: tuple[str, int] | Path
    username: str
    password: str
    relayed: tuple[str, int] | None = None
    _nonce: Attributes = field(default_factory=dict)
    _realm: bytes = b""
    _rest: bytes = b""

    def __post_init__(self) -> None:
        if isinstance(self.to, Path):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(self.to))
        else:
            kind = socket.SOCK_DGRAM if self.to[0] == "udp" else socket.SOCK_STREAM
            self._socket = socket.socket(socket.AF_INET, kind)
            self._socket.connect(("127.0.0.1", self.to[1]))
        self._is_stream = self._socket.type == socket.SOCK_STREAM
        self._socket.settimeout(5)

    def close(self) -> None:
        self._socket.close()

    def allocate(self) -> tuple[str, int]:
        """The relayed address. Raises RefusedError."""
        wanted = {_TRANSPORT: b"\x11\0\0\0"}
        try:
            self._ask(ALLOCATE, wanted, signed=False)
        except RefusedError as why:
            if why.code != 401:
                raise
        self.relayed = _address(self._ask(ALLOCATE, wanted)[_RELAYED])
        return self.relayed

    def refresh(self, seconds: int = 600) -> None:
        self._ask(REFRESH, {_LIFETIME: struct.pack("!I", seconds)})

    def permit(self, address: str) -> None:
        self._ask(PERMIT, {_PEER: _xored(address, 0)})

    def send(self, address: str, port: int, content: bytes) -> None:
        """To a peer; whether it arrives nobody says."""
        self._write(_message(SEND, 0b01, os.urandom(12), {_PEER: _xored(address, port), _DATA: content}))

    def receive(self, seconds: float = 2.0) -> tuple[tuple[str, int], bytes] | None:
        """The next packet of a peer, None when none comes."""
        self._socket.settimeout(seconds)
        try:
            while True:
                kind, found = self._read()
                if kind == (DATA, 0b01):
                    return _address(found[_PEER]), found[_DATA]
        except (TimeoutError, ConnectionError):
            return None
        finally:
            self._socket.settimeout(5)

    def check(self, address: str, port: int, username: str, password: str) -> tuple[str, int]:
        """A connectivity check of ICE (RFC 8445), as browsers repeat it for as long as they talk: from which address it
        reached the peer. Raises TimeoutError."""
        transaction = os.urandom(12)
        asked = {_USERNAME: username.encode(), _PRIORITY: b"\0\0\0\1", _CONTROLLED: os.urandom(8)}
        message = _message(BINDING, 0b00, transaction, asked, password.encode())
        for _ in range(10):  # it is a datagram, and the peer may not be ready
            self.send(address, port, message)
            while found := self.receive(0.5):
                kind, answered = _parsed(found[1])
                if kind == (BINDING, 0b10) and found[1][8:20] == transaction:
                    return _address(answered[_MAPPED])
        raise TimeoutError("the peer does not answer")

    def _ask(self, method: int, attributes: Attributes, signed: bool = True) -> Attributes:
        sent = dict(attributes)
        if signed:
            sent |= {_USERNAME: self.username.encode(), _REALM: self._realm} | self._nonce
        transaction = os.urandom(12)
        key = hashlib.md5(f"{self.username}:{self._realm.decode()}:{self.password}".encode(), usedforsecurity=False)
        self._write(_message(method, 0b00, transaction, sent, key.digest() if signed else None))
        while True:
            (answered, kind), found = self._read()
            if answered != method or kind not in (0b10, 0b11):
                continue
            if kind == 0b10:
                return found
            if _NONCE in found:
                self._nonce, self._realm = {_NONCE: found[_NONCE]}, found.get(_REALM, b"")
            code = found.get(_ERROR, b"\0\0\4\3")  # where it gives no reason it is: forbidden
            raise RefusedError(code[2] * 100 + code[3])

    def _write(self, message: bytes) -> None:
        self._socket.sendall(message)

    def _read(self) -> tuple[tuple[int, int], Attributes]:
        if not self._is_stream:
            return _parsed(self._socket.recv(65536))
        while len(self._rest) < 20 or len(self._rest) < 20 + struct.unpack_from("!H", self._rest, 2)[0]:
            part = self._socket.recv(65536)
            if not part:
                raise ConnectionError("the server ended it")
            self._rest += part
        size = 20 + struct.unpack_from("!H", self._rest, 2)[0]
        whole, self._rest = self._rest[:size], self._rest[size:]
        return _parsed(whole)


def _message(method: int, kind: int, transaction: bytes, attributes: Attributes, key: bytes | None = None) -> bytes:
    body = b"".join(_encoded(name, value) for name, value in attributes.items())
    word = (method & 0xF) | (kind & 1) << 4 | (method & 0x70) << 1 | (kind & 2) << 7
    if key is None:
        return struct.pack("!HHI", word, len(body), COOKIE) + transaction + body
    head = struct.pack("!HHI", word, len(body) + 24, COOKIE) + transaction
    return head + body + _encoded(_INTEGRITY, hmac.new(key, head + body, hashlib.sha1).digest())


def _encoded(name: int, value: bytes) -> bytes:
    return struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4)


def _parsed(message: bytes) -> tuple[tuple[int, int], Attributes]:
    word, size = struct.unpack_from("!HH", message)
    found, at = {}, 20
    while at < 20 + size:
        name, length = struct.unpack_from("!HH", message, at)
        found[name] = message[at + 4 : at + 4 + length]
        at += 4 + length + (-length % 4)
    return ((word & 0xF) | (word >> 1 & 0x70), (word >> 4 & 1) | (word >> 7 & 2)), found


def _xored(address: str, port: int) -> bytes:
    number = int(ipaddress.IPv4Address(address)) ^ COOKIE
    return struct.pack("!BBHI", 0, 1, port ^ COOKIE >> 16, number)


def _address(value: bytes) -> tuple[str, int]:
    _, _, port, number = struct.unpack("!BBHI", value)
    return str(ipaddress.IPv4Address(number ^ COOKIE)), port ^ COOKIE >> 16
