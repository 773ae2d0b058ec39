"""Certificates by FQDN on a real API server: hot, checked, and the last good one kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from support.api import Api, Object
from support.certificates import case_pair, chain, key, text_of, tls_secret
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.shards import certificates, mounted, until_served
from support.snapshots import settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration

WEB = {"tls": {"secretRef": {"name": "web"}}}
OWN = {"tls": {"secretRef": {"name": "own"}}}


def served(api: Api, *objects: Object) -> dict[str, str]:
    """Create these, and wait until all is quiet; the versions then."""
    api.create(*objects)
    api.wait_condition("MCSInstance", "mcs", "Accepted", "True")
    return settled(api)


def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
    return {name for name in {*before, *now} if before.get(name) != now.get(name)}


def test_one_certificate_with_a_wildcard_is_for_everybody_whom_it_covers(api: Api, operator: Operator) -> None:
    web = chain("mcs.test", "*.mcs.test")
    links = [a_link("acme"), a_link("beta"), a_link("far", domain="far.example.com")]
    served(api, tls_secret("web", web), an_instance(**WEB), a_community(), *links)
    until_served(api, {"mcs.test": web, "acme.mcs.test": web, "beta.mcs.test": web}, read=certificates)
    for link in ("acme", "beta", "far"):
        api.wait_condition("TVoxLink", link, "Stalled", "False", "NotStalled")


def until_missed(api: Api, kind: str, name: str) -> str:
    """Until its Secret is waited for, or a person is: a busy machine may need the two minutes. The message."""

    def look() -> str:
        found = [api.condition(kind, name, type) for type in ("Reconciling", "Stalled")]
        return next((text for status, why, text in found if (status, why) == ("True", "CertificateNotFound")), "")

    return until(f"{kind} {name} misses its certificate", look)


def test_a_certificate_may_come_after_those_who_name_it(api: Api, operator: Operator) -> None:
    served(api, an_instance(**WEB), a_community(), a_link("acme", **OWN))
    assert "'web'" in until_missed(api, "MCSInstance", "mcs")
    assert "'own'" in until_missed(api, "TVoxLink", "acme")
    web, own = chain("mcs.test"), chain("acme.mcs.test")
    api.create(tls_secret("own", own), tls_secret("web", web))
    until_served(api, {"mcs.test": web, "acme.mcs.test": own}, read=certificates)
    api.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")
    api.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")


def test_a_renewed_certificate_is_hot_and_changes_two_objects(api: Api, operator: Operator) -> None:
    """One shard, and the checksum manifest: nothing restarts, no other customer's file is touched."""
    links = [a_link("acme", **OWN), *(a_link(f"c{n}") for n in range(4))]
    web = tls_secret("web", chain("mcs.test", "*.mcs.test"))
    before = served(api, web, tls_secret("own", chain("acme.mcs.test")), an_instance(**WEB), a_community(), *links)
    renewed = chain("acme.mcs.test")
    api.merge("Secret", "own", {"data": None, "stringData": {"tls.crt": renewed, "tls.key": text_of(key())}})
    wanted = certificates(api) | {"acme.mcs.test": renewed}
    until_served(api, wanted, read=certificates)
    now = settled(api)
    shards = {name for name in changed(before, now) if name.startswith("Secret/mcs-certs-")}
    assert len(shards) == 1
    assert changed(before, now) == shards | {"Secret/own", "ConfigMap/mcs-manifest"}


YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize(
    ("crt", "its_key", "told"),
    [
        pytest.param(chain("acme.mcs.test", ends=YESTERDAY + timedelta(hours=1)), None, "expired", id="expired"),
        pytest.param(chain("other.mcs.test"), None, "not for acme.mcs.test", id="for another domain"),
        pytest.param(chain("acme.mcs.test"), text_of(key("another")), "not the key", id="with another key"),
        pytest.param("rubbish", None, "not in PEM form", id="rubbish"),
    ],
)
def test_a_certificate_that_goes_bad_keeps_the_last_good_one_and_says_why(
    api: Api, operator: Operator, crt: str, its_key: str | None, told: str
) -> None:
    good = chain("acme.mcs.test")
    links = [a_link("acme", **OWN), a_link("beta")]
    served(api, tls_secret("own", good), an_instance(), a_community(), *links)
    until_served(api, {"acme.mcs.test": good}, read=certificates)
    before = versions(api)
    content = {"tls.crt": crt, "tls.key": its_key or text_of(key())}
    api.merge("Secret", "own", {"data": None, "stringData": content})
    message = api.wait_condition("TVoxLink", "acme", "Stalled", "True", "CertificateInvalid")
    assert told in message
    assert "'own'" in message
    assert "rubbish" not in message
    api.wait_condition("TVoxLink", "beta", "Stalled", "False", "NotStalled")
    assert certificates(api) == {"acme.mcs.test": good}
    assert changed(before, settled(api)) == {"Secret/own", "TVoxLink/acme"}
    api.merge("Secret", "own", {"stringData": {"tls.crt": good, "tls.key": text_of(key())}})
    api.wait_condition("TVoxLink", "acme", "Stalled", "False", "NotStalled")


def test_a_certificate_that_is_deleted_keeps_the_last_good_one_also_over_a_restart(
    api: Api, operator: Operator
) -> None:
    good = chain("acme.mcs.test")
    served(api, tls_secret("own", good), an_instance(), a_community(), a_link("acme", **OWN))
    until_served(api, {"acme.mcs.test": good}, read=certificates)
    api.delete("Secret", "own", wait=5)
    until_missed(api, "TVoxLink", "acme")
    before = settled(api)
    operator.stop()
    operator.start()
    assert settled(api, quiet=3) == before
    assert certificates(api) == {"acme.mcs.test": good}


def test_a_link_without_a_certificate_any_more_has_the_instances_again(api: Api, operator: Operator) -> None:
    own, web = chain("acme.mcs.test"), chain("mcs.test", "*.mcs.test")
    pairs = [tls_secret("web", web), tls_secret("own", own)]
    served(api, *pairs, an_instance(**WEB), a_community(), a_link("acme", **OWN))
    until_served(api, {"mcs.test": web, "acme.mcs.test": own}, read=certificates)
    api.change("TVoxLink", "acme", tls=None)
    until_served(api, {"mcs.test": web, "acme.mcs.test": web}, read=certificates)
    api.change("MCSInstance", "mcs", tls=None)
    until_served(api, {}, read=certificates)  # by the manifest, which goes first
    until("their files are gone", lambda: not [name for name in mounted(api) if name.startswith("certs-")], 10)


def test_a_secret_of_another_type_is_no_certificate(api: Api, operator: Operator) -> None:
    """Only Secrets of type kubernetes.io/tls are looked at: an Opaque one may be anything."""
    opaque = tls_secret("own", chain("acme.mcs.test")) | {"type": "Opaque"}
    served(api, opaque, an_instance(), a_community(), a_link("acme", **OWN))
    message = until_missed(api, "TVoxLink", "acme")
    assert "kubernetes.io/tls" in message


def test_no_key_is_anywhere_but_in_secrets_nor_in_the_log(api: Api, operator: Operator) -> None:
    served(api, tls_secret("own", chain("acme.mcs.test")), an_instance(), a_community(), a_link("acme", **OWN))
    api.merge("Secret", "own", {"stringData": {"tls.crt": "rubbish"}})
    api.wait_condition("TVoxLink", "acme", "Stalled", "True", "CertificateInvalid")
    secret = text_of(key()).splitlines()[1]
    seen = [str(body) for kind in ("ConfigMap", "TVoxLink", "MCSInstance", "StatefulSet") for body in api.list(kind)]
    assert not [text for text in seen if secret in text or "PRIVATE KEY" in text]
    assert secret not in operator.since(0)


@pytest.mark.parametrize(
    ("case", "says"), [("k1", "secp256k1"), ("sha1", "MD5 or SHA-1, which no browser takes"), ("rsa1024", "1024 bits")]
)
def test_a_certificate_that_no_browser_takes_is_told_at_its_link(
    api: Api, operator: Operator, case: str, says: str
) -> None:
    pair = case_pair(case)
    served(api, tls_secret("own", pair.cert_pem, pair.key_pem), an_instance(), a_community(), a_link("acme", **OWN))
    assert says in api.wait_condition("TVoxLink", "acme", "Stalled", "True", "CertificateInvalid")
    api.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
