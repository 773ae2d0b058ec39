"""The key of an external account at an ACME server: read when the account is made, by its name, and not kept."""

from __future__ import annotations

from mcs_operator.issuing.issuer import IssuerError
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.parse.bounds import files_in, mapping
from mcs_operator.kube.resources import SECRETS

ENTRY = "secret"


async def read_mac_key(api: Api, namespace: str, name: str) -> str:
    """The key; IssuerError, which a condition tells, where there is none."""
    where = f"spec.tls.acme.externalAccountBinding.keySecretRef: Secret {name!r}"
    try:
        found = await api.get(SECRETS, namespace, name)
    except ApiError as error:
        raise IssuerError(f"{where} cannot be read: {error}") from None
    if found is None:
        raise IssuerError(f"{where} does not exist; create it with entry {ENTRY!r}")
    key = files_in(mapping(found.get("data")), (ENTRY,)).get(ENTRY, "").strip()
    if not key:
        raise IssuerError(f"{where} has no entry {ENTRY!r} with the key")
    return key
