"""Certificates of the FQDNs: taken from the Secrets that users name, checked, and the last good one kept.

A certificate that cannot be served would be noticed by the appliance at best and by every browser at worst, so it is
refused here, for its own domain only, while the one before it stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mcs_operator.domain.conditions import Kind, Reason
from mcs_operator.domain.keyring import Serving
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.shardfiles import ServedCertificate, certificates_in, served_certificate, too_large
from mcs_operator.domain.verdict import Verdict
from mcs_operator.domain.world import TlsSecret, World


@dataclass(frozen=True, slots=True)
class _Site:
    """One domain that is served. ``own``: the Secret was named for it, it is not the instance's that stands in."""

    kind: Kind
    name: str
    domain: str
    secret: str
    own: bool = True


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What has to be known of a certificate; ``problem`` where it or its key cannot be read, or do not belong
    together."""

    problem: str = ""
    names: tuple[str, ...] = ()
    begins: datetime | None = None
    ends: datetime | None = None


def serving(world: World, plan: Plan) -> Serving:
    """The certificate of each served domain, and what is wrong with those that cannot be served."""
    found: list[ServedCertificate] = []
    problems: dict[tuple[Kind, str], Verdict] = {}
    last: dict[str, ServedCertificate] | None = None
    for site in _sites(plan):
        pair = world.tls_secrets.get(site.secret)
        verdict = _problem(pair, site, world.now)
        if pair is not None and verdict is None:
            if _is_for(pair, site.domain):
                found.append(served_certificate(site.domain, pair.chain, pair.key))
            continue
        if verdict is not None and site.own:  # what is wrong with the instance's is told there, not at 250 links
            problems[site.kind, site.name] = verdict
        last = certificates_in(world.shards) if last is None else last
        if site.domain in last:
            found.append(last[site.domain])
    if plan.kept.links:
        last = certificates_in(world.shards) if last is None else last
        found += [last[line.domain] for line in plan.kept.links if line.domain in last]
    return Serving(tuple(found), problems)


def _sites(plan: Plan) -> Iterator[_Site]:
    """The domains that the appliance is told of, and have a Secret, the instance's own first."""
    instance = plan.instance
    if instance is None:
        return
    common = instance.spec.tls.secret_ref.name if instance.spec.tls.secret_ref else ""
    if common:
        yield _Site(Kind.INSTANCE, instance.name, instance.spec.domain, common)
    for link_plan in plan.served:
        refusal, spec = link_plan.refusal, link_plan.link.spec
        if refusal and refusal.reason is Reason.DOMAIN_TAKEN:
            continue
        own = spec.tls.secret_ref
        if own or common:
            yield _Site(Kind.LINK, link_plan.link.name, spec.domain, own.name if own else common, own is not None)


def _problem(pair: TlsSecret | None, site: _Site, now: datetime) -> Verdict | None:
    if pair is None:
        message = f"tls.secretRef: no Secret {site.secret!r} of type kubernetes.io/tls; create it"
        return Verdict(Reason.CERTIFICATE_NOT_FOUND, message)
    # The instance's certificate need not be for a link: that one then has none, as if there were no reference.
    domain = site.domain if site.own else None
    wrong = check_certificate(pair.chain, pair.key, domain, now)
    if wrong := wrong or too_large(pair.chain, pair.key):
        message = f"tls.secretRef: Secret {site.secret!r}: {wrong}; replace its content"
        return Verdict(Reason.CERTIFICATE_INVALID, message)
    return None


def check_certificate(chain: str, key: str, domain: str | None, now: datetime) -> str:
    """Why this pair cannot be served (for this domain), in words without a key in them; empty where it can."""
    leaf = _read(chain, key)
    if leaf.problem or leaf.begins is None or leaf.ends is None:
        return leaf.problem
    if leaf.ends <= now:
        return f"the certificate has expired at {leaf.ends:%Y-%m-%dT%H:%M:%SZ}"
    if leaf.begins > now:
        return f"the certificate is not valid before {leaf.begins:%Y-%m-%dT%H:%M:%SZ}"
    if domain is not None and not any(_covers(name, domain) for name in leaf.names):
        return f"the certificate is for {', '.join(leaf.names[:5]) or 'no DNS name'}, not for {domain}"
    return ""


@lru_cache(maxsize=1024)  # one certificate may stand in for 250 links, at every reconciliation
def _read(chain: str, key: str) -> _Leaf:
    # Whatever the parser says may quote its input, and it has more kinds of errors than it documents: one customer's
    # strange certificate must not end the reconciliation of 249 others.
    try:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        public, names = leaf.public_key(), _names(leaf)
    except Exception:
        return _Leaf("tls.crt is not a certificate in PEM form")
    try:
        # Without the test for primes, which takes a second for 4096 bits: whose key it is shows below.
        private = load_pem_private_key(key.encode(), password=None, unsafe_skip_rsa_key_validation=True).public_key()
    except Exception:
        return _Leaf("tls.key is not a private key in PEM form (without a password)")
    if private != public:
        return _Leaf("tls.key is not the key of the first certificate in tls.crt")
    return _Leaf("", names, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in alternative.get_values_for_type(x509.DNSName))


def _is_for(pair: TlsSecret, domain: str) -> bool:
    return any(_covers(name, domain) for name in _read(pair.chain, pair.key).names)


def _covers(name: str, domain: str) -> bool:
    """RFC 6125: a wildcard stands for exactly one label, the leftmost."""
    return name == domain or (name.startswith("*.") and domain.partition(".")[2] == name[2:])
