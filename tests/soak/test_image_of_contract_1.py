"""A media image of before portals, under the operator of today: what customers are given arrives in it as ever, nobody
else notices, and what it cannot do is said.

The image is built from its own tree, with the programs that it had then.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.portal import ALL, CONNECTIONS, community, host
from support.api import Api
from support.certificates import chain, tls_secret
from support.cluster import Node
from support.mcs import Mcs, serving
from support.objects import INSTANCE, a_community
from support.operator import Operator
from support.waiting import until
from upgrade.before import check_out, image

CONTRACT_1 = "d89cfb9"
"""The last commit whose appliance knew no portal."""
FIRST, OTHER = "acme", "globex"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def old_image(node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its name at the node."""
    check_out(tmp_path_factory.mktemp("contract-1"), CONTRACT_1).load("appliance", tag="contract-1")
    return image("appliance", "contract-1")


@pytest.fixture(scope="module")
def mcs(node: Node, server: Api, operator_process: Operator, old_image: str) -> Iterator[Mcs]:
    """An instance with this image, and a first customer who has a tunnel."""
    with serving(node, server, first=FIRST, image=old_image) as mcs:
        yield mcs


def test_a_customer_comes_is_disabled_and_leaves(mcs: Mcs) -> None:
    with mcs.unnoticed(by=FIRST):
        mcs.link(OTHER)
        mcs.connect(OTHER)
        assert mcs.answers_outside(mcs.domain(OTHER), 200)["tvox"] == OTHER
        mcs.api.change("TVoxLink", OTHER, enabled=False)
        mcs.answers_outside(mcs.domain(OTHER), 503)
        mcs.api.change("TVoxLink", OTHER, enabled=True)
        mcs.dialled_in(OTHER)
        assert mcs.answers_outside(mcs.domain(OTHER), 200)["tvox"] == OTHER
        mcs.remove(OTHER)
        mcs.answers_outside(mcs.domain(OTHER), 404)


def test_a_certificate_is_served_and_so_is_the_one_after_it(mcs: Mcs) -> None:
    mcs.link(OTHER)
    domain = mcs.domain(OTHER)
    with mcs.unnoticed(by=FIRST):
        for certificate in (chain(domain), chain(domain)):
            mcs.api.apply(tls_secret("globex-tls", certificate))
            mcs.api.change("TVoxLink", OTHER, tls={"secretRef": {"name": "globex-tls"}})
            until("it is served", lambda shown=certificate: mcs.certificate(domain) == shown, 60)
        mcs.api.wait_condition("TVoxLink", OTHER, "CertificateReady", "True")
    mcs.api.delete("TVoxLink", OTHER, wait=20)


def test_a_portal_is_said_not_to_be_supported_and_users_come_and_go_as_ever(mcs: Mcs) -> None:
    with mcs.unnoticed(by=FIRST):
        mcs.api.apply(tls_secret("meet-tls", chain(host(mcs))), *community(mcs, {"ada": ALL, "bob": ["Audio"]}))
        told = mcs.api.wait_condition("Community", FIRST, "LoginReady", "Unknown", "NotSupported", 60)
        assert image("appliance", "contract-1") in told and "too old for portals" in told
        assert mcs.api.condition("Community", FIRST, "Ready")[0] == "True"
        until("it has both users", lambda: mcs.inside(CONNECTIONS)["users"] == 2, 60)
        # Its passwords lie in a file that this image does not know: what comes after them is taken all the same.
        for count in (300, 1):
            mcs.api.apply(a_community(OTHER, users=[f"user-{number}" for number in range(count)]))
            until("it has theirs", lambda others=count: mcs.inside(CONNECTIONS)["users"] == 2 + others, 60)
    said = mcs.inside(CONNECTIONS)
    assert "contract" not in said and said["error"] is None and not said["notTaken"]
    assert mcs.api.condition("MCSInstance", INSTANCE, "RestartPending")[0] == "False"
    assert mcs.api.condition("MCSInstance", INSTANCE, "Ready")[0] == "True"
