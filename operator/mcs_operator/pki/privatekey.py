"""Private keys that others made, of the two kinds that we use, and only if to load and to use them costs nothing.

To load a key may be to reckon with it: of a DSA key in PKCS #8 the public half is raised to a power as large as
somebody wrote. 7 KB of that took three seconds, 30 KB take minutes, and Python's lock is held for all of them. And an
RSA key carries numbers beside its modulus, by which it is used: with "primes" of 20,000 bits one handshake took seven
seconds. So what a key says that it is is read before any parser sees it, and its numbers before it is used.
"""

from __future__ import annotations

import base64
import re

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_BEGIN = re.compile(r"-----BEGIN ((?:[A-Z]+ ){0,2})PRIVATE KEY-----")
_TRADITIONAL = ("RSA ", "EC ")
_ENCRYPTED = "ENCRYPTED"
_LENGTH = rb"(?:[\x00-\x7f]|\x81.|\x82..)"
_RSA, _RSA_PSS, _EC = (
    rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
    rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a",
    rb"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
)
_PKCS8 = re.compile(
    rb"\x30" + _LENGTH + rb"\x02\x01[\x00\x01]\x30" + _LENGTH + rb"(?:" + _RSA + rb"|" + _RSA_PSS + rb"|" + _EC + rb")",
    re.DOTALL,
)
"""How a PrivateKeyInfo begins: its length, its version, the kind of the key. DER has one way to write each of them."""


def load_private_key(pem: str) -> SigningKey | None:
    """The first private key of a PEM text; None for one of another kind. ValueError where it is none, TypeError where
    it is encrypted.

    Not tested is whether an RSA key's factors are primes, which takes a second: whose key it is shows when it is used.
    """
    begin = _BEGIN.search(pem)
    if begin is None:
        raise ValueError("not a private key in PEM form")
    kind = begin[1]
    body, end, _ = pem[begin.end() :].partition(f"-----END {kind}PRIVATE KEY-----")
    if _ENCRYPTED in kind or _ENCRYPTED in body:
        raise TypeError("an encrypted key")
    der = base64.b64decode("".join(body.split()), validate=True)
    if kind not in _TRADITIONAL and (kind or not _PKCS8.match(der)):
        return None
    key = load_pem_private_key(f"{begin[0]}{body}{end}\n".encode(), password=None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, rsa.RSAPrivateKey):
        return _with_its_own_numbers(key)
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _with_its_own_numbers(key: rsa.RSAPrivateKey) -> rsa.RSAPrivateKey:
    """The key, if none of its numbers is larger than its modulus, which is bounded where it is used."""
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    others = (numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp, numbers.public_numbers.e)
    if numbers.p * numbers.q != modulus or max(others) > modulus:
        raise ValueError("the factors of an RSA key that are none")
    return key
