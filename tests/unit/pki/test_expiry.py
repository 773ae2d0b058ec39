"""When certificates end, for the metrics: each one's own date, and a damaged one stops nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mcs_operator.contract.shards import ServedCertificate
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.world import AgentCredentials, Fingerprint
from mcs_operator.domain.keyring import Keys, LinkKeys, Serving
from mcs_operator.domain.plan import Plan
from mcs_operator.pki import Expiries, expiries, mint_agent, mint_ca, mint_server, not_after
from mcs_operator.pki.inspect import not_before
from support.certificates import chain
from support.worlds import NOW, PAIR, TLS_CRYPT, community, fingerprint, given, identity, instance, link

CA = mint_ca("mcs", NOW)
GARBAGE = KeyPair("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "key")


def plan() -> Plan:
    things = [link("acme"), identity("acme", 17), link("bolt"), identity("bolt", 18)]
    return decide(given(instance(), community(), things))


def of_link(server: KeyPair, *pins: Fingerprint) -> LinkKeys:
    return LinkKeys(server, TLS_CRYPT, pins or (fingerprint("acme"),), None, CA.cert_pem)


def told(keys: Keys) -> Expiries:
    found = expiries(plan(), keys)
    assert found is not None
    return found


def test_each_certificate_has_its_own_end() -> None:
    server, agent = mint_server(CA, "link-017.mcs", NOW, 30), mint_agent(CA, ["agent"], NOW, 60)
    site, page = (
        chain(name, begins=NOW, ends=NOW + timedelta(days=days))
        for name, days in (("mcs.test", 1), ("acme.mcs.test", 2))
    )
    serving = Serving((ServedCertificate("mcs.test", site, ""), ServedCertificate("acme.mcs.test", page, "")))
    pin = replace(fingerprint("acme"), not_after=NOW + timedelta(days=7))
    keys = Keys(
        ca=CA.cert_pem, agent=AgentCredentials(agent, "t"), links={"acme": of_link(server, pin)}, serving=serving
    )
    assert told(keys) == Expiries(
        instance="mcs",
        ca=not_after(CA.cert_pem),
        ca_begins=not_before(CA.cert_pem),
        agent=NOW + timedelta(days=60),
        site=NOW + timedelta(days=1),
        site_begins=NOW,
        servers={17: NOW + timedelta(days=30)},
        clients={17: NOW + timedelta(days=7)},
        sites={17: NOW + timedelta(days=2)},
        sites_begin={17: NOW},
    )


def test_of_two_accepted_certificates_the_one_that_ends_first_is_told() -> None:
    pins = [replace(fingerprint(name), not_after=NOW + timedelta(days=days)) for name, days in (("a", 9), ("b", 8))]
    assert told(Keys(links={"acme": of_link(PAIR, *pins)})).clients == {17: NOW + timedelta(days=8)}


def test_a_rotation_has_its_deadline_until_the_new_certificate_was_seen() -> None:
    deadline = NOW + timedelta(days=30)
    old, new = fingerprint("a"), replace(fingerprint("b"), deadline=deadline)

    def rotations(*pins: Fingerprint) -> dict[int, datetime]:
        return told(Keys(links={"acme": of_link(PAIR, *pins)})).rotations

    assert rotations(old, new) == {17: deadline}
    assert rotations(old, replace(new, seen=NOW)) == rotations(new) == rotations(old) == {}


@pytest.mark.parametrize(
    "pins",
    [
        pytest.param([Fingerprint("AA", None)], id="a date that is not known"),
        pytest.param([replace(fingerprint("a"), revoked=NOW)], id="revoked"),
    ],
)
def test_a_link_without_a_date_is_left_out(pins: list[Fingerprint]) -> None:
    assert told(Keys(links={"acme": of_link(PAIR, *pins)})).clients == {}


def test_a_date_that_is_not_known_hides_no_other() -> None:
    pins = [Fingerprint("AA", None), replace(fingerprint("b"), not_after=NOW)]
    assert told(Keys(links={"acme": of_link(PAIR, *pins)})).clients == {17: NOW}


def test_damaged_certificates_are_left_out_and_all_others_told() -> None:
    good = mint_server(CA, "link-018.mcs", NOW, 30)
    serving = Serving((ServedCertificate("mcs.test", GARBAGE.cert_pem, ""),))
    agent = AgentCredentials(GARBAGE, "t")
    keys = Keys(ca="rubbish", agent=agent, links={"acme": of_link(GARBAGE), "bolt": of_link(good)}, serving=serving)
    found = told(keys)
    assert (found.ca, found.ca_begins, found.agent, found.site) == (None, None, None, None)
    assert found.servers == {18: NOW + timedelta(days=30)}
    assert set(found.clients) == {17, 18}


def test_without_an_instance_nothing_is_told() -> None:
    assert expiries(Plan(instance=None), Keys()) is None
