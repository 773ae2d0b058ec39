"""Making keys and certificates. Who may connect is decided by the pins, so nothing here is ever revoked.

::

    CA (20 years)
     ├── server certificate of a link   (renewed before it ends: one restart of that link's process)
     ├── client certificate of a TVox   (ends with the CA: a new one costs a visit to that TVox)
     └── the link agent's certificate
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mcs_operator.domain.facts.keys import Authority, KeyPair
from mcs_operator.pki.authority import load_signing_key
from mcs_operator.pki.foreign import attempt
from mcs_operator.pki.inspect import BACKDATE, load_certificate, not_after
from mcs_operator.pki.leaf import Usage, build_certificate, key_pem, key_usage, pem, sign_leaf, subject

CA_YEARS = 20
SERVER_DAYS = 397
"""Default life of a server certificate: the longest that common TLS clients accept."""
TLS_CRYPT_BYTES = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED_NAMES = frozenset({"DEFAULT", "revision", "enabled"})


def mint_ca(instance: str, now: datetime) -> Authority:
    """A new CA for an instance: EC P-256, 20 years, signs leaves only (path length 0)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = subject(f"MCS CA {instance}")
    certificate = (
        build_certificate(name, name, key, now - BACKDATE, _years_later(now, CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(cert_pem=pem(certificate), key_pem=key_pem(key))


def mint_server(ca: Authority, common_name: str, now: datetime, days: int = SERVER_DAYS) -> KeyPair:
    """A link's server certificate, ``days`` long but never longer than the CA; ``common_name`` as in mint_client."""
    until = min(now + timedelta(days=days), not_after(ca.cert_pem))
    return _mint_leaf(ca, _checked_name(common_name), now, until, Usage.SERVER)


def mint_client(ca: Authority, common_name: str, now: datetime) -> KeyPair:
    """A TVox's client certificate, valid until the CA ends: its pin, not its age, is what revokes it.

    ``common_name``: letters, digits, ``._-``, 64 at most. OpenVPN looks it up as a file name in the slot's directory,
    so it must not be the name of a file there. Raises ValueError for such a name, or when the CA has ended.
    """
    return _mint_leaf(ca, _checked_name(common_name), now, not_after(ca.cert_pem), Usage.CLIENT)


def mint_agent(ca: Authority, names: Sequence[str], now: datetime, days: int = SERVER_DAYS) -> KeyPair:
    """The link agent's HTTPS certificate for these DNS names and IP addresses (at least one), ended by the CA's end."""
    return mint_https(ca, "mcs-link-agent", names, now, days)


def mint_https(ca: Authority, common_name: str, names: Sequence[str], now: datetime, days: int) -> KeyPair:
    """The certificate of an HTTPS server with these DNS names and IP addresses (at least one)."""
    if not names:
        raise ValueError("an HTTPS server's certificate needs at least one name")
    until = min(now + timedelta(days=days), not_after(ca.cert_pem))
    alternative = [_general_name(name) for name in names]
    return _mint_leaf(ca, common_name, now, until, Usage.SERVER, alternative=alternative)


def mint_tls_crypt() -> str:
    """A tls-crypt (v1) key: 2048 random bits in OpenVPN's static key format, as ``openvpn --genkey`` writes it."""
    digits = os.urandom(TLS_CRYPT_BYTES).hex()
    lines = [digits[at : at + 32] for at in range(0, len(digits), 32)]
    begin, end = "-----BEGIN OpenVPN Static key V1-----", "-----END OpenVPN Static key V1-----"
    return "\n".join(["#", "# 2048 bit OpenVPN static key", "#", begin, *lines, end]) + "\n"


def _mint_leaf(
    ca: Authority,
    common_name: str,
    now: datetime,
    until: datetime,
    usage: Usage,
    *,
    alternative: Sequence[x509.GeneralName] = (),
) -> KeyPair:
    if until <= now:
        raise ValueError("the CA has ended, or the certificate would end before it begins")
    issuer, signer, life = load_certificate(ca.cert_pem), load_signing_key(ca.key_pem), (now - BACKDATE, until)
    return attempt(lambda: sign_leaf(issuer, signer, common_name, life, usage, alternative), "the CA cannot sign")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"common name {name!r}: letters, digits and ._- only, 64 at most, the first not a sign")
    if name in _RESERVED_NAMES or name.endswith((".conf", ".crt", ".key", ".nft")):
        raise ValueError(f"common name {name!r} is the name of a file of the slot")
    return name


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _years_later(now: datetime, years: int) -> datetime:
    try:
        return now.replace(year=now.year + years)
    except ValueError:  # 29 February
        return now.replace(year=now.year + years, day=28)
