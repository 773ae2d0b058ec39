"""OpenSSL's own verdict about certificates, by a handshake in memory: no list of rules of ours knows all its reasons.

TVoxes, slots and HAProxy verify by OpenSSL. Python's `ssl` is the same library, and a handshake over two buffers takes
2 to 10 ms. Dates are left out, for they are asked of the caller's clock, and are no property of a certificate.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.pki.foreign import ForeignError, attempt

_NO_CHECK_TIME = 0x200000
_PARTIAL_CHAIN = 0x80000
"""X509_V_FLAG_…; Python has no names for them before 3.13, or none at all."""
_LEVEL = "DEFAULT:@SECLEVEL=2"
"""OpenSSL's own default: no RSA below 2048 bits and no SHA-1, anywhere in the chain but in a root's own signature."""
_ROUNDS = 6
"""Of both sides; TLS 1.3 takes three."""


def verify_mutual(server: KeyPair, client: KeyPair, ca_pem: str) -> None:
    """As OpenVPN does it at both ends of a tunnel: ForeignError with OpenSSL's reason where one refuses the other."""
    servers, clients = (
        _context(ssl.PROTOCOL_TLS_SERVER, ca_pem, server),
        _context(ssl.PROTOCOL_TLS_CLIENT, ca_pem, client),
    )
    _shake_hands(servers, clients)


def verify_server(server: KeyPair, anchor_pem: str) -> None:
    """As a client does it that trusts ``anchor_pem``, which need not be a root."""
    servers, clients = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), _context(ssl.PROTOCOL_TLS_CLIENT, anchor_pem, None)
    _load_pair(servers, server)
    clients.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN)
    _shake_hands(servers, clients)


def _context(protocol: int, trusted_pem: str, pair: KeyPair | None) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    context.set_ciphers(_LEVEL)
    attempt(lambda: context.load_verify_locations(cadata=trusted_pem), "OpenSSL cannot read it")
    if pair:
        _load_pair(context, pair)
    return context


def _load_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    with _file_with((pair.key_pem + pair.cert_pem).encode()) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise ForeignError(f"OpenSSL refuses to load it: {_reason(error)}") from None


@contextmanager
def _file_with(content: bytes) -> Iterator[str]:
    """Python loads a key from a file only. This one is in memory, and has no name; where there is no such thing (the
    plugin on a Mac), nobody but its owner can read it."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("pair", os.MFD_CLOEXEC), "wb", buffering=0) as memory:
            memory.write(content)
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name


def _shake_hands(servers: ssl.SSLContext, clients: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = servers.wrap_bio(to_server, to_client, server_side=True)
    client = clients.wrap_bio(to_client, to_server)
    try:
        for _ in range(_ROUNDS):
            for side in (client, server):
                _step(side)
    except ssl.SSLCertVerificationError as error:
        raise ForeignError(f"OpenSSL refuses it: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise ForeignError(f"OpenSSL refuses it: {_reason(error)}") from None
    if server.version() is None or client.version() is None:
        raise ForeignError("OpenSSL refuses it: the handshake does not end")


def _step(side: ssl.SSLObject) -> None:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "unknown error").replace("_", " ").lower()
