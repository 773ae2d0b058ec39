"""The account by which certificates are ordered: its key, and the thumbprint by which every challenge is answered."""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mcs_operator.api import MCSInstance
from mcs_operator.domain.facts.keys import AcmeAccount
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.rules import messages
from mcs_operator.pki.foreign import ForeignError, attempt, remembered, within_bounds
from mcs_operator.pki.leaf import key_pem
from mcs_operator.pki.privatekey import SigningKey, load_private_key

_COORDINATE = 32
"""Bytes of a coordinate of P-256."""


def account(world: World, instance: MCSInstance) -> tuple[AcmeAccount | None, str]:
    """The instance's account, made where there is none, or why there is none; neither without spec.tls.acme.

    A key that cannot be used is not replaced: it may be a good one that somebody has to restore.
    """
    acme = instance.spec.tls.acme
    if acme is None:
        return None, ""
    if reference := acme.account_secret_ref:
        field, name = "spec.tls.acme.accountSecretRef", reference.name
        secret = world.tls_secrets.get(name)
        if secret is None:
            return None, messages.no_tls_secret(field, name)
        known, where = AcmeAccount(secret.key), f"{field}: Secret {name!r}"
    else:
        name = f"{instance.name}-acme-account"
        if any(
            (damaged.kind, damaged.name) == ("Secret", name) for damaged in (*world.damaged_objects, *world.ignored)
        ):
            return None, f"Secret {name!r} cannot be read; delete it, and another account is made"
        known = world.acme_accounts.get(instance.name) or AcmeAccount(key_pem(ec.generate_private_key(ec.SECP256R1())))
        where = f"Secret {name!r}"
    try:
        return AcmeAccount(known.key_pem, thumbprint(known.key_pem)), ""
    except ForeignError as error:
        return None, f"{where}: {error}"


@remembered(256)
def thumbprint(key: str) -> str:
    """RFC 7638, of the public half; ForeignError for a key that no account can have."""
    within_bounds(key, "tls.key")
    private = attempt(lambda: load_private_key(key), "tls.key is not a private key in PEM form (without a password)")
    members = json.dumps(_members(private), sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(members.encode()).digest())


def _members(private: SigningKey | None) -> dict[str, str]:
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        point = private.public_key().public_numbers()
        x, y = (_base64url(number.to_bytes(_COORDINATE, "big")) for number in (point.x, point.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}
    if isinstance(private, rsa.RSAPrivateKey) and 2048 <= private.key_size <= 4096:
        numbers = private.public_key().public_numbers()
        n, e = (_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return {"e": e, "kty": "RSA", "n": n}
    raise ForeignError("tls.key is neither EC P-256 nor RSA of 2048 to 4096 bits")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
