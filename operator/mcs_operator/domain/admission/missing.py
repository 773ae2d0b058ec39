"""Warnings about what an object names and is not there yet: order does not matter, but a typing error does."""

from __future__ import annotations

from collections.abc import Iterator

from mcs_operator.api import Community, MCSInstance, TVoxLink
from mcs_operator.domain.admission.known import Cluster, Finding
from mcs_operator.settings import LABEL_USERS


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


def solvers(cluster: Cluster, namespace: str, new: MCSInstance, old: MCSInstance | None) -> Iterator[Finding]:
    """Of ``spec.tls.http01``, where a Service is named now."""
    if (name := service_named(new, old)) and not cluster.has_service(namespace, name):
        yield Finding(
            f"spec.tls.http01.serviceRef.name: no Service {name!r} in namespace {namespace} yet; challenges are passed "
            "on when it is there"
        )


def service_named(new: MCSInstance, old: MCSInstance | None) -> str:
    """The Service that is named now, and was not before; empty where none is."""
    name = _solvers(new)
    return "" if old is not None and _solvers(old) == name else name


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


def _named(body: MCSInstance | Community | TVoxLink) -> str:
    reference = body.spec.tls.secret_ref
    return reference.name if reference else ""


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
