"""Certificates of the FQDNs: taken from the Secrets that users name, or from those of what was ordered by ACME;
checked, and the last good one kept.

A certificate that cannot be served would be noticed by the appliance at best and by every browser at worst, so it is
refused here, for its own domain only, while the one before it stays. Whether a browser trusts its root is not asked:
that is known to the browser alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcs_operator.api import MCSInstance, Tls
from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.shards import ServedCertificate, certificates_in, served_certificate, too_large
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.orders import Issuable
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.keyring import Serving
from mcs_operator.domain.plan import Plan
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.issuance import WEEK
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.pki.foreign import (
    ForeignError,
    attempt,
    certificates,
    on_a_line,
    remembered,
    subject_of,
    within_bounds,
)
from mcs_operator.pki.inspect import dns_names, signed_by
from mcs_operator.pki.leaf import pem
from mcs_operator.pki.privatekey import SigningKey, load_private_key
from mcs_operator.pki.verifier import verify_server
from mcs_operator.settings import certificate_secret

CURVES = ("secp256r1", "secp384r1")
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_BACKDATED = timedelta(days=1)
"""Public servers let a certificate begin an hour before it was issued."""
_REMEMBERED = 8192
"""Verdicts, some hundred bytes each; a namespace looks at 251 pairs at most at each reconciliation."""


@dataclass(frozen=True, slots=True)
class _Site:
    """One domain that is served. ``secret``: whose certificate it is to have, "" where none is named; ``own``: it was
    named for it, it is not the instance's that stands in. ``issued``: the Secret of what was ordered for it."""

    kind: Kind
    name: str
    domain: str
    secret: str
    issued: str
    own: bool = True


@dataclass(frozen=True, slots=True)
class _Leaf:
    """What has to be known of a certificate; ``problem`` where no browser would take it, or not with this key."""

    problem: str = ""
    names: tuple[str, ...] = ()
    begins: datetime | None = None
    expires: datetime | None = None


def serving(world: World, plan: Plan) -> Serving:
    """The certificate of each served domain, and what is wrong with those that cannot be served."""
    found: list[ServedCertificate] = []
    portals: list[ServedCertificate] = []
    problems: dict[tuple[Kind, str], Verdict] = {}
    issuable: list[Issuable] = []
    issued = _issued_lately(world, plan)
    last = _LastGood(world)
    orders = plan.instance is not None and plan.instance.spec.tls.acme is not None
    for site in _sites(plan):
        pair, verdict = _given(world, site)
        # One that stands in for others and is missing for a moment is no reason to order 250.
        is_issuable = pair is None and verdict is None and not site.own
        if is_issuable and orders:
            issuable.append(one := _issuable(world, site))
            if one.begins:
                issued.setdefault(site.domain, _first_issued(world.tls_secrets[site.issued].created, one.begins))
        if pair is None and not site.own:
            pair = _issued(world, site)
        if pair is None and verdict is not None and site.own:
            problems[site.kind, site.name] = verdict  # of the instance's own it is told there, not at 250 links
        if pair is None and (verdict is not None or orders or site.issued in world.tls_secrets):
            pair = last.of(site.domain)
        if pair is not None:
            (portals if site.kind is Kind.COMMUNITY else found).append(pair)
    found += filter(None, (last.of(line.domain) for line in plan.kept.links))
    portals += filter(None, (last.of(line.portal) for line in plan.kept.communities if line.portal))
    return Serving(tuple(found), problems, tuple(portals), tuple(issuable), issued)


@dataclass(slots=True)
class _LastGood:
    """What the appliance was given last, unpacked when somebody needs it."""

    world: World
    known: dict[str, ServedCertificate] | None = None

    def of(self, domain: str) -> ServedCertificate | None:
        self.known = certificates_in(self.world.shards) if self.known is None else self.known
        return self.known.get(domain)


def _sites(plan: Plan) -> Iterator[_Site]:
    """The domains that the appliance is told of, the instance's own first."""
    instance = plan.instance
    if instance is None:
        return
    common = instance.spec.tls.secret_ref.name if instance.spec.tls.secret_ref else ""
    issued = certificate_secret(instance.name, instance.spec.domain)
    yield _Site(Kind.INSTANCE, instance.name, instance.spec.domain, common, issued, own=bool(common))
    for link_plan in plan.served:
        refusal, spec = link_plan.refusal, link_plan.link.spec
        if refusal and refusal.reason is Reason.DOMAIN_TAKEN:
            continue
        yield _site(instance, Kind.LINK, link_plan.link.name, spec.domain, spec.tls)
    for name, domain in plan.portals_served.items():
        yield _site(instance, Kind.COMMUNITY, name, domain, plan.portals[name].community.spec.tls)


def _site(instance: MCSInstance, kind: Kind, name: str, domain: str, tls: Tls) -> _Site:
    named = tls.secret_ref or instance.spec.tls.secret_ref
    issued = certificate_secret(instance.name, domain)
    return _Site(kind, name, domain, named.name if named else "", issued, own=tls.secret_ref is not None)


def _given(world: World, site: _Site) -> tuple[ServedCertificate | None, Verdict | None]:
    """The certificate that is named for a domain, where it can be served for it; or what is wrong with it. Neither
    where none is named, or the instance's is for other names."""
    if not site.secret:
        return None, None
    pair = _pair(world, site.secret, site.domain)
    verdict = _problem(pair, site, world.now)
    return (pair if pair and not verdict and _is_for(pair, site.domain) else None), verdict


def _issued(world: World, site: _Site) -> ServedCertificate | None:
    """What was ordered for a domain, where it can be served: also after spec.tls.acme was taken away."""
    pair = _pair(world, site.issued, site.domain)
    return pair if pair and not _wrong(pair, site.domain, world.now) else None


def _pair(world: World, secret: str, domain: str) -> ServedCertificate | None:
    found = world.tls_secrets.get(secret)
    return served_certificate(domain, found.chain, found.key) if found else None


def _issuable(world: World, site: _Site) -> Issuable:
    """With the dates of what was issued last, if it is for this name and can be used; it may have expired."""
    known = Issuable(site.kind, site.name, site.domain, site.issued)
    pair = _pair(world, site.issued, site.domain)
    if pair is None or not _is_for(pair, site.domain):
        return known
    leaf = _read(pair.chain, pair.key)
    return replace(known, begins=leaf.begins, expires=leaf.expires, chain=pair.chain)


def _issued_lately(world: World, plan: Plan) -> dict[str, datetime]:
    """When names got their first certificate by an order, as far as a server may still count it; also of names that
    nobody has any more, whose Secrets stay. Found by their own names, which nobody gets by chance."""
    if plan.instance is None or plan.instance.spec.tls.acme is None:
        return {}
    found: dict[str, datetime] = {}
    for secret in world.tls_secrets.values():
        if secret.created and secret.created <= world.now - WEEK:
            continue
        if secret.domain and secret.name == certificate_secret(plan.instance.name, secret.domain):
            begins = _read(secret.chain, secret.key).begins
            first = _first_issued(secret.created, begins) if begins else secret.created
            found |= {secret.domain: first} if first else {}
    return found


def _first_issued(created: datetime | None, begins: datetime) -> datetime:
    """When a name got its first certificate: when its Secret was made, which renewals do not change. A restore makes
    the Secret anew, so of a certificate that is older by more than servers backdate it, the certificate tells."""
    return begins if created is None or begins < created - _BACKDATED else created


def _wrong(pair: ServedCertificate, domain: str | None, now: datetime) -> str:
    return too_large(pair.chain, pair.key) or check_certificate(pair.chain, pair.key, domain, now)


def _problem(pair: ServedCertificate | None, site: _Site, now: datetime) -> Verdict | None:
    if pair is None:
        return Verdict(Reason.CERTIFICATE_NOT_FOUND, messages.no_tls_secret("spec.tls.secretRef", site.secret))
    # The instance's certificate need not be for a link: that one then has none, as if there were no reference.
    domain = site.domain if site.own else None
    if wrong := _wrong(pair, domain, now):
        message = f"spec.tls.secretRef: Secret {site.secret!r}: {wrong}; replace its content"
        return Verdict(Reason.CERTIFICATE_INVALID, message)
    return None


def check_certificate(chain: str, key: str, domain: str | None, now: datetime) -> str:
    """Why this pair cannot be served (for this domain), in words without a key in them; empty where it can."""
    leaf = _read(chain, key)
    if leaf.problem or leaf.begins is None or leaf.expires is None:
        return leaf.problem
    if leaf.expires <= now:
        return f"the certificate has expired at {leaf.expires:%Y-%m-%dT%H:%M:%SZ}"
    if leaf.begins > now:
        return f"the certificate is not valid before {leaf.begins:%Y-%m-%dT%H:%M:%SZ}"
    if domain is not None and not any(_covers(name, domain) for name in leaf.names):
        names = ", ".join(map(on_a_line, leaf.names[:5]))
        return f"the certificate is for {names or 'no DNS name'}, not for {domain}"
    return ""


@remembered(_REMEMBERED)  # one certificate may stand in for 250 links, at every reconciliation
def _read(chain: str, key: str) -> _Leaf:
    try:
        return attempt(lambda: _leaf(chain, key), "tls.crt cannot be read")
    except ForeignError as error:
        return _Leaf(str(error))


def _leaf(chain: str, key: str) -> _Leaf:
    found = certificates(chain, "tls.crt")
    leaf, private = found[0], _private_key(key)
    public = attempt(leaf.public_key, "the key of the certificate in tls.crt is of a kind that no browser takes")
    if private.public_key() != public:
        raise ForeignError("tls.key is not the key of the first certificate in tls.crt")
    _check_key(public)
    if isinstance(leaf.signature_hash_algorithm, WEAK_HASHES):
        raise ForeignError("the certificate is signed with MD5 or SHA-1, which no browser takes; have it issued anew")
    names = attempt(
        lambda: dns_names(leaf), "an extension of the certificate in tls.crt is malformed; have it issued anew"
    )
    _check_usage(leaf)
    _try(found, private)
    return _Leaf("", names, leaf.not_valid_before_utc, leaf.not_valid_after_utc)


def _private_key(key: str) -> SigningKey:
    within_bounds(key, "tls.key")
    private = attempt(lambda: load_private_key(key), "tls.key is not a private key in PEM form (without a password)")
    if private is None:
        raise ForeignError("tls.key is neither EC nor RSA, which no browser takes; use P-256, P-384 or RSA")
    return private


def _check_key(public: object) -> None:
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name not in CURVES:
        raise ForeignError(f"the key is of curve {public.curve.name}, which browsers do not take; use P-256 or P-384")
    if isinstance(public, rsa.RSAPublicKey) and not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
        raise ForeignError(f"the RSA key has {public.key_size} bits; browsers take {MIN_RSA_BITS} to {MAX_RSA_BITS}")


def _check_usage(leaf: x509.Certificate) -> None:
    """What the certificate says that it is for, where it says anything."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages):
        raise ForeignError("the certificate is not for servers (extendedKeyUsage has no serverAuth)")


def _try(found: list[x509.Certificate], private: SigningKey) -> None:
    """A handshake with it, of a client that trusts its issuer, or itself where the issuer is not among them.

    Not the whole chain: further up, browsers find ways of their own, past an expired root for example.
    """
    leaf = found[0]
    anchor = next((issuer for issuer in found[1:] if signed_by(leaf, issuer)), leaf)
    encoded = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    try:
        verify_server(KeyPair(pem(leaf), encoded), pem(anchor))
    except ForeignError as error:
        issuer = "" if anchor is leaf else f", issued by {subject_of(anchor)},"
        raise ForeignError(f"the certificate in tls.crt{issuer} would be refused by browsers ({error})") from None


def _is_for(pair: ServedCertificate, domain: str) -> bool:
    return any(_covers(name, domain) for name in _read(pair.chain, pair.key).names)


def _covers(name: str, domain: str) -> bool:
    """RFC 6125: a wildcard stands for exactly one label, the leftmost."""
    return name == domain or (name.startswith("*.") and domain.partition(".")[2] == name[2:])
