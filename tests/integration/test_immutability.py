"""An instance that is deleted and created again has what its TVoxes were given: at the door, and behind it."""

from __future__ import annotations

from typing import Any

import pytest

from support.api import Api
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.quota import create_once_counted
from support.snapshots import files, settled
from support.waiting import until

pytestmark = pytest.mark.integration

KEEPING = {"retain": {"storage": "Retain", "pki": "Retain"}}


def vpn(**more: Any) -> dict[str, Any]:
    return {"vpn": {"slots": 6, **more}}


@pytest.fixture
def served(api: Api, operator: Operator) -> Api:
    """A namespace whose customers dial ports from 23000, quiet."""
    api.create(an_instance(**KEEPING, **vpn(basePort=23000)), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    return api


def profile(api: Api) -> dict[str, str]:
    return files(api.get("Secret", "acme-profile"))


def deleted(api: Api) -> None:
    api.delete("MCSInstance", "mcs", wait=20)
    api.wait_condition("TVoxLink", "acme", "Accepted", "False", "InstanceNotFound")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        pytest.param(vpn(), "spec.vpn.basePort", id="basePort"),
        pytest.param(vpn(basePort=23000, cidr="198.18.99.0/24"), "spec.vpn.cidr", id="cidr"),
        pytest.param({**vpn(basePort=23000), "domain": "new.test"}, "spec.domain", id="domain"),
    ],
)
def test_what_got_in_otherwise_is_stalled_and_no_profile_is_rewritten(
    served: Api, changed: dict[str, Any], field: str
) -> None:
    before = profile(served)
    deleted(served)
    create_once_counted(served, an_instance(**KEEPING, **changed))  # no webhook is registered here
    message = served.wait_condition("MCSInstance", "mcs", "Stalled", "True", "ProfilesDiffer")
    assert message.startswith(f"{field}: ")
    served.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(served)
    assert profile(served) == before
    slot = next(files(s) for s in served.list("Secret") if s["metadata"]["name"] == "mcs-link-002")
    assert "\nport 23002\n" in slot["server.conf"], "where its TVox dials"
    assert served.get("TVoxLink", "acme")["status"]["port"] == 23002


def test_created_again_as_it_was_everything_goes_on(served: Api) -> None:
    before = profile(served)
    deleted(served)
    create_once_counted(served, an_instance(**KEEPING, **vpn(basePort=23000)))
    served.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")
    served.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(served)
    assert profile(served) == before


def test_without_identities_another_port_is_as_good_as_the_one_before(api: Api, operator: Operator) -> None:
    """Where retain.pki is Delete the TVoxes need new profiles anyway."""
    api.create(an_instance(**vpn(basePort=23000)), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    deleted(api)
    api.delete("Secret", "acme-profile", wait=10)  # as the garbage collector does, which does not run everywhere
    create_once_counted(api, an_instance(**vpn()))
    until("its profile is for the new port", lambda: "remote mcs.test 21002" in profile_or_nothing(api), 30)
    api.wait_condition("MCSInstance", "mcs", "Stalled", "False", "NotStalled")


def profile_or_nothing(api: Api) -> str:
    found = api.find("Secret", "acme-profile")
    return files(found)["acme.ovpn"] if found else ""
