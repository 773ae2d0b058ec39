"""WHETHER A BROWSER WOULD TAKE IT: a trial handshake in memory, before HAProxy is told of a certificate.

HAProxy loads some certificates that no browser can use, and would show them in the place of the good one; of others it
says only that it cannot load them. The library that both stand on says why.
"""

from __future__ import annotations

import functools
import os
import ssl

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
"""Those of haproxy.cfg, at the level of security that Debian's library has by itself."""
_ROUNDS = 10
"""Flights of a handshake are five at most; the bound is there so that no library's fault can make it go on."""
_NO_BROWSER = "no browser can use its kind of key; RSA of 2,048 bits or more, EC P-256 or P-384 is needed"
_UNREADABLE = "it cannot be read as certificate and key"
_WORDS = {
    "EE_KEY_TOO_SMALL": "its key is too short; RSA needs 2,048 bits or more",
    "CA_KEY_TOO_SMALL": "the key of a certificate in its chain is too short; RSA needs 2,048 bits or more",
    "CA_MD_TOO_WEAK": "it, or a certificate in its chain, is signed with SHA-1 or MD5, which is not secure any more",
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "KEY_TYPE_MISMATCH": "the key does not belong to the certificate",
    "NO_SHARED_CIPHER": _NO_BROWSER,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _NO_BROWSER,
    "WRONG_SIGNATURE_TYPE": _NO_BROWSER,
}


def refusal(pem: str) -> str | None:
    """Why no browser would take this certificate and key (one PEM text, leaf first); None when one would.

    Says nothing about names, dates and who signed: what a browser warns of is the operator's to judge.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.minimum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers(CIPHERS)
    # A file that is no file: a key must not reach a disk, and the library reads from a path only.
    handle = os.memfd_create("certificate")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(pem.encode())
        server.load_cert_chain(f"/proc/self/fd/{handle}", password=_no_password)
        _shake_hands(server)
    except (OSError, ValueError) as error:
        return _words(error)
    finally:
        os.close(handle)
    return None


def _no_password() -> str:
    """Without it the library would ask at the terminal."""
    raise ValueError("the key is encrypted; it must be there in plain")


@functools.cache  # a third of the time of a trial
def _browser() -> ssl.SSLContext:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return client


def _shake_hands(server: ssl.SSLContext) -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [_browser().wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(_ROUNDS):
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not sides:
            return
    raise ValueError("a trial handshake does not end")


def _words(error: Exception) -> str:
    """For people; the library's name of the fault where there is no better word."""
    name = getattr(error, "reason", None)
    if not isinstance(name, str):
        return str(error)[:200] if isinstance(error, ValueError) else _UNREADABLE
    if name in _WORDS:
        return _WORDS[name]
    unreadable = name == "PEM_LIB" or name.startswith(("BAD_", "NO_START_LINE", "ASN1", "WRONG_TAG", "TOO_LONG"))
    return _UNREADABLE if unreadable else f"it cannot be used: {name.lower().replace('_', ' ')[:150]}"
