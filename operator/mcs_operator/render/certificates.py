"""Certificates that are ordered by ACME: the account's key, and what was issued, each in a Secret of its own."""

from __future__ import annotations

from mcs_operator.api import MCSInstance
from mcs_operator.domain.facts.orders import Issued, Orders
from mcs_operator.domain.keyring import Keys
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.render.objects import build_object, encoded, identity_owners
from mcs_operator.settings import ANNOTATION_DOMAIN


def build_account(instance: MCSInstance, keys: Keys) -> list[Manifest]:
    """`<instance>-acme-account`, where the account is the operator's own. One that is there and cannot be read is not
    written over: there are no keys then."""
    acme = instance.spec.tls.acme
    if keys.account is None or acme is None or acme.account_secret_ref:
        return []
    data = encoded({"tls.key": keys.account.key_pem})
    owners = identity_owners(instance)
    name = f"{instance.name}-acme-account"
    body = build_object("v1", "Secret", name, instance, owners=owners, type="Opaque", data=data)
    return [Manifest(body, Wave.IDENTITY)]


def build_certificates(instance: MCSInstance, orders: Orders) -> list[Manifest]:
    """`<instance>-acme-…`, of what was issued and is not known to be kept yet. They outlive the instance as its CA
    does: to order 250 anew would take weeks where a server gives 50 a week."""
    return [_certificate(instance, domain, issued) for domain, issued in sorted(orders.issued.items())]


def _certificate(instance: MCSInstance, domain: str, issued: Issued) -> Manifest:
    body = build_object(
        "v1",
        "Secret",
        issued.secret,
        instance,
        owners=identity_owners(instance),
        type="kubernetes.io/tls",
        data=encoded({"tls.crt": issued.pair.cert_pem, "tls.key": issued.pair.key_pem}),
    )
    body["metadata"]["annotations"] = {ANNOTATION_DOMAIN: domain}
    return Manifest(body, Wave.IDENTITY)
