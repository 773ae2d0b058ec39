"""Everything that can be wrong with a reference or a value, at once: each is told at its object, nobody else is hurt,
and nothing is asked of the API server again and again.

Which condition belongs to which world is tested without a server; here it is how little that costs.
"""

from __future__ import annotations

import time

import pytest

from support.api import Api, Object, Refused
from support.certificates import chain, tls_secret
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import around_the_quota
from support.shards import complete_set
from support.snapshots import audited, settled

pytestmark = pytest.mark.integration


def a_users_file(name: str, text: str) -> Object:
    metadata = {"name": name, "labels": {"mcs.tvox.io/users": "true"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"users.yaml": text}}


def wrong_things() -> list[Object]:
    """One of each, in no order of help."""
    tls = {"tls": {"secretRef": {"name": "nowhere"}}}
    bad = {"tls": {"secretRef": {"name": "bad"}}}
    return [
        a_link("no-instance", instance="nobody"),
        a_link("no-community", community="nobody"),
        a_link("mismatch", community="elsewhere"),
        a_link("far", vpnAddress="10.0.0.9"),
        a_link("own-domain", domain="mcs.test"),
        a_link("no-cert", **tls),
        a_link("bad-cert", **bad),
        a_link("occupied"),
        a_community("elsewhere", instance="nobody"),
        a_community("no-file", usersFrom=[{"secretRef": {"name": "nowhere"}}]),
        a_community("bad-file", usersFrom=[{"configMapRef": {"name": "bad"}}]),
        a_users_file("bad", "- {name: ann}\n- {name: [}\n"),
        tls_secret("bad", chain("other.mcs.test")),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "occupied-profile"}},
        an_instance("second", domain="second.test"),
    ]


TOLD = [
    ("TVoxLink", "no-instance", "Accepted", "False", "InstanceNotFound", "'nobody'"),
    ("TVoxLink", "no-community", "Accepted", "False", "CommunityNotFound", "'nobody'"),
    ("TVoxLink", "mismatch", "Accepted", "False", "InstanceMismatch", "'elsewhere'"),
    ("TVoxLink", "far", "Accepted", "False", "AddressOutOfRange", "spec.vpnAddress: 10.0.0.9"),
    ("TVoxLink", "own-domain", "Accepted", "False", "DomainTaken", "spec.domain: mcs.test"),
    ("TVoxLink", "no-cert", "Reconciling", "True", "CertificateNotFound", "'nowhere'"),
    ("TVoxLink", "bad-cert", "Stalled", "True", "CertificateInvalid", "not for bad-cert.mcs.test"),
    ("TVoxLink", "occupied", "Accepted", "False", "NameTaken", "occupied-profile"),
    ("Community", "elsewhere", "Ready", "False", "InstanceNotFound", "'nobody'"),
    ("Community", "no-file", "Ready", "False", "UsersNotFound", "'nowhere'"),
    (
        "Community",
        "bad-file",
        "Ready",
        "False",
        "UsersInvalid",
        "'bad', key users.yaml: line 2: [1].name: must be a text, and is a list",
    ),
    ("MCSInstance", "second", "Accepted", "False", "NamespaceOccupied", "'mcs'"),
]


@pytest.mark.timeout(180)
def test_whatever_is_wrong_is_told_hurts_nobody_else_and_is_not_tried_again_and_again(
    api: Api, operator: Operator
) -> None:
    api.create(an_instance(vpn={"slots": 20}), a_community(users=("ann",)), a_link("well"))
    api.wait_condition("TVoxLink", "well", "Accepted", "True")
    before = settled(api)
    with around_the_quota(api, operator):
        api.create(*wrong_things())
    for kind, name, condition, status, reason, words in TOLD:
        assert words in api.wait_condition(kind, name, condition, status, reason, 30)
    now = settled(api, quiet=3)
    for name in ("TVoxLink/well", "Secret/mcs-link-002", "Secret/well-profile", "StatefulSet/mcs", "Community/acme"):
        assert now[name] == before[name], name
    assert "well" in {link["name"] for link in complete_set(api)["links.json"]["links"]}

    audit = audited(api)
    time.sleep(10)
    asked = audit.requests(api.namespace)
    # One thing has to be looked at again and again, as nobody tells of its end: the Secret that is not ours. With
    # pauses that have grown to 8 s and more by now, that is two looks at most, of a few requests each.
    assert len(asked) <= 12, asked
    assert {request.split()[1] for request in asked} <= {"secrets", "secrets/occupied-profile"}


def test_a_reference_that_stays_missing_costs_nothing(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("waits", community="nobody"), a_link("lost", instance="nobody"))
    api.wait_condition("TVoxLink", "waits", "Accepted", "False", "CommunityNotFound")
    audit = audited(api)
    time.sleep(10)
    assert audit.requests(api.namespace) == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (an_instance(tier="UpTo99"), "spec.tier"),
        (an_instance(domain="not a name"), "spec.domain"),
        (an_instance(publicAddress="300.1.1.1"), "spec.publicAddress"),
        (an_instance(vpn={"slots": 251}), "spec.vpn.slots"),
        (an_instance(vpn={"slots": 0}), "spec.vpn.slots"),
        (a_link("bad", domain="no spaces.example.com"), "spec.domain"),
        (a_link("bad", protocol="SCTP"), "spec.protocol"),
        (a_community(defaultFunctions=["Fax"]), "spec.defaultFunctions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_never_be_right_is_refused_at_the_door_with_its_field(api: Api, body: Object, words: str) -> None:
    """Also while the operator is down: the API server itself says no."""
    with pytest.raises(Refused) as refused:
        api.create(body)
    assert refused.value.status == 422
    assert words in refused.value.message
