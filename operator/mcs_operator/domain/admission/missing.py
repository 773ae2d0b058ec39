"""Warnings about what an object names and is not there yet: order does not matter, but a typing error does."""

from __future__ import annotations

from collections.abc import Iterator

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.domain.admission.known import Cluster, Finding
from mcs_operator.settings import LABEL_PASSWORDS, LABEL_USERS


def certificate(
    cluster: Cluster,
    namespace: str,
    new: MCSInstance | Community | TVoxLink,
    old: MCSInstance | Community | TVoxLink | None,
) -> Iterator[Finding]:
    """Of ``spec.tls``, where it is named now."""
    consequence = "what is served now goes on until it is there"
    yield from _tls_secret(
        cluster, namespace, "spec.tls.secretRef", _named(new), _named(old) if old else "", consequence
    )


def account(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Of ``spec.tls.acme``, where one of the user's is named now."""
    field, consequence = "spec.tls.acme.accountSecretRef", "no certificate is ordered until it is there"
    yield from _tls_secret(cluster, namespace, field, _account(new), _account(old) if old else "", consequence)


def authority(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Of ``spec.vpn.caSecretRef``, which is immutable."""
    field, consequence = "spec.vpn.caSecretRef", "no profile is made until it is there"
    yield from _tls_secret(cluster, namespace, field, _authority(new), _authority(old) if old else "", consequence)


def external_account(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Of ``spec.tls.acme.externalAccountBinding``, where its key is named now."""
    name = _external_account(new)
    if name and not (old and _external_account(old) == name) and not cluster.has_secret(namespace, name):
        yield Finding(
            f"spec.tls.acme.externalAccountBinding.keySecretRef.name: no Secret {name!r} in namespace {namespace} yet; "
            "no certificate is ordered until it is there"
        )


def pull_secrets(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Of ``spec.imagePullSecrets``, those that are named now."""
    for name in _pull_secrets(new):
        if not (old and name in _pull_secrets(old)) and not cluster.has_secret(namespace, name):
            yield Finding(
                f"spec.imagePullSecrets: no Secret {name!r} in namespace {namespace} yet; images that need it are "
                "pulled when it is there"
            )


def solvers(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Of ``spec.tls.http01``, where a Service is named now."""
    name = _solvers(new)
    if name and not (old and _solvers(old) == name) and not cluster.has_service(namespace, name):
        yield Finding(
            f"spec.tls.http01.serviceRef.name: no Service {name!r} in namespace {namespace} yet; challenges are passed "
            "on when it is there"
        )


def unwatched(new: MCSInstance, old: MCSInstance | None) -> frozenset[tuple[str, str]]:
    """Kind and name of what is named now, was not before, and is of a kind that nobody watches: it has to be looked
    for."""
    return _unwatched(new) - (_unwatched(old) if old else frozenset())


def _unwatched(instance: MCSInstance) -> frozenset[tuple[str, str]]:
    secrets = {_external_account(instance), *_pull_secrets(instance)} - {""}
    services = {_solvers(instance)} - {""}
    return frozenset({*(("Secret", name) for name in secrets), *(("Service", name) for name in services)})


def _external_account(instance: MCSInstance) -> str:
    acme = instance.spec.tls.acme
    return acme.external_account_binding.key_secret_ref.name if acme and acme.external_account_binding else ""


def _pull_secrets(instance: MCSInstance) -> tuple[str, ...]:
    return tuple(dict.fromkeys(secret.name for secret in instance.spec.image_pull_secrets))


def _solvers(instance: MCSInstance) -> str:
    http01 = instance.spec.tls.http01
    return http01.service_ref.name if http01 else ""


def _tls_secret(
    cluster: Cluster, namespace: str, field: str, name: str, before: str, consequence: str
) -> Iterator[Finding]:
    """Of a reference to one, "" where there is none."""
    if name and name != before and not cluster.has_certificate(namespace, name):
        secret = f"no Secret {name!r} of type kubernetes.io/tls in namespace {namespace} yet"
        yield Finding(f"{field}.name: {secret}; {consequence}")


def users_files(cluster: Cluster, namespace: str, new: Community, old: Community | None) -> Iterator[Finding]:
    """Of ``spec.usersFrom``, those that are named now."""
    known = set(_sources(old)) if old else set()
    for at, (kind, field, name) in enumerate(_sources(new)):
        if (kind, field, name) not in known and not cluster.has_users_file(namespace, kind, name):
            yield Finding(
                f"spec.usersFrom[{at}].{field}.name: no {kind} {name!r} with label {LABEL_USERS}=true in namespace "
                f"{namespace} yet; its users are served when it is there"
            )


def passwords(cluster: Cluster, namespace: str, new: Community, old: Community | None) -> Iterator[Finding]:
    """Of ``spec.authentication.passwordsFrom``, those that are named now."""
    known = {source.secret_ref.name for source in old.spec.authentication.passwords_from} if old else set()
    for at, source in enumerate(new.spec.authentication.passwords_from):
        name = source.secret_ref.name
        if name not in known and not cluster.has_passwords(namespace, new.name, name):
            yield Finding(
                f"spec.authentication.passwordsFrom[{at}].secretRef.name: no Secret {name!r} with label "
                f"{LABEL_PASSWORDS}={new.name} in namespace {namespace} yet; its users log in when it is there"
            )


def _named(body: MCSInstance | Community | TVoxLink) -> str:
    reference = body.spec.tls.secret_ref
    return reference.name if reference else ""


def _authority(instance: MCSInstance) -> str:
    return instance.spec.vpn.ca_secret_ref.name if instance.spec.vpn.ca_secret_ref else ""


def _account(instance: MCSInstance) -> str:
    reference = instance.spec.tls.acme.account_secret_ref if instance.spec.tls.acme else None
    return reference.name if reference else ""


def _sources(community: Community) -> list[tuple[str, str, str]]:
    """Kind, field and name of each."""
    found = []
    for source in community.spec.users_from:
        if source.config_map_ref:
            found.append(("ConfigMap", "configMapRef", source.config_map_ref.name))
        elif source.secret_ref:
            found.append(("Secret", "secretRef", source.secret_ref.name))
    return found
