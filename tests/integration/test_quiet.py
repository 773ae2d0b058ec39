"""Nothing is written that need not be: not after a restart, not twice, and not by one for all."""

from __future__ import annotations

import time
from collections import Counter
from unittest.mock import ANY

import pytest

from mcs_operator.contract.slotfiles import pins_in
from support.api import Api
from support.fake_agent import fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.ordering import all_is_handled, without
from support.quota import around_the_quota, race, until_counted
from support.snapshots import Audit, audited, files, settled, versions
from support.waiting import until

pytestmark = pytest.mark.integration


def about(request: str, *plurals: str) -> bool:
    """Whether a request is about objects of these kinds; the quota has `tvoxlinks` in its name."""
    return request.split()[1].partition("/")[0] in plurals


def crowd(api: Api, operator: Operator, links: int = 20) -> None:
    """A namespace of every kind of trouble: served, disabled, refused, waiting, broken."""
    api.create(
        an_instance(vpn={"slots": 250}, network={"mode": "LoadBalancer"}),
        a_community(users=("anna", "bert")),
        a_community("off", users=("carl",), enabled=False),
        a_community("broken", usersFrom=[{"configMapRef": {"name": "staff"}}]),
        a_community("waiting", instance="other"),
        a_link("disabled", enabled=False),
        a_link("refused", domain="mcs.test"),
        a_link("lonely", community="nobody"),
        a_link("lost", instance="other"),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "staff", "labels": {"mcs.tvox.io/users": "true"}},
            "data": {"users.yaml": "[{name: anna}, {name: anna}]"},
        },
        *(a_link(f"c{number:02d}") for number in range(links)),
    )
    for number in range(links):
        api.wait_condition("TVoxLink", f"c{number:02d}", "Accepted", "True", timeout=60)
    with around_the_quota(api, operator):
        api.create(an_instance("second"))
    api.wait_condition("MCSInstance", "second", "Accepted", "False", "NamespaceOccupied")
    api.delete("TVoxLink", "c00", wait=10)
    until_counted(api)


def test_a_restart_with_nothing_changed_writes_nothing(api: Api, operator: Operator) -> None:
    crowd(api, operator)
    before = settled(api, quiet=3)
    operator.stop()
    audit = Audit.of(api)
    operator.start()
    marker = all_is_handled(api)
    time.sleep(3)  # and nothing comes after it
    assert versions(api) == before | {f"Community/{marker}": ANY}
    if audit is not None:
        assert without(marker, audit.writes(api.namespace)) == []


def test_a_killed_operators_successor_writes_nothing_either(api: Api, operator: Operator) -> None:
    crowd(api, operator, links=3)
    before = settled(api, quiet=3)
    operator.kill()
    audit = Audit.of(api)
    operator.start()
    marker = all_is_handled(api)
    time.sleep(3)  # and nothing comes after it
    assert versions(api) == before | {f"Community/{marker}": ANY}
    if audit is not None:
        assert without(marker, audit.writes(api.namespace)) == []


def test_a_quiet_namespace_costs_no_request_at_all(api: Api, operator: Operator) -> None:
    crowd(api, operator, links=3)
    audit = audited(api)
    time.sleep(10)
    assert audit.requests(api.namespace) == []


def test_a_new_link_costs_as_many_writes_as_it_has_objects(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("first"))
    api.wait_condition("TVoxLink", "first", "Accepted", "True")
    audit = audited(api)
    api.create(a_link("second"))
    api.wait_condition("TVoxLink", "second", "Accepted", "True")
    settled(api)
    assert Counter(audit.writes(api.namespace)) == Counter(
        [
            "create secrets/second-profile",
            "create secrets/mcs-link-003",
            "patch configmaps/mcs-links",
            "patch configmaps/mcs-manifest",
            "patch tvoxlinks/second/status",
            "patch mcsinstances/mcs/status",
        ]
    )


@pytest.mark.timeout(240)
def test_250_links_at_once_cost_three_requests_each(api: Api, operator: Operator) -> None:
    """Two Secrets and one status: nothing is read back, nothing written twice. What is not a link's own, such as the
    list of all links, is written once for many."""
    names = [f"c{number:03d}" for number in range(250)]
    api.create(an_instance(vpn={"slots": 250}), a_community())
    api.wait_condition("MCSInstance", "mcs", "Accepted", "True")
    audit = audited(api)
    assert race((api, a_link(name)) for name in names) == []
    for name in names:
        api.wait_condition("TVoxLink", name, "Accepted", "True", timeout=90)
    settled(api, quiet=3, timeout=120)
    asked = Counter(audit.requests(api.namespace))
    own = Counter(f"create secrets/{name}-profile" for name in names)
    own += Counter(f"create secrets/mcs-link-{number:03d}" for number in range(2, 252))
    own += Counter(f"patch tvoxlinks/{name}/status" for name in names)
    assert own - asked == Counter()
    assert [r for r in asked - own if about(r, "tvoxlinks", "secrets")] == []
    assert asked.total() <= 3.5 * 250


def test_a_changed_link_costs_one_write_of_its_status_and_none_of_anybody_elses(api: Api, operator: Operator) -> None:
    api.create(an_instance(vpn={"slots": 20}), a_community(), *(a_link(f"c{n}") for n in range(10)))
    for n in range(10):
        api.wait_condition("TVoxLink", f"c{n}", "Accepted", "True")
    audit = audited(api)
    api.change("TVoxLink", "c5", enabled=False)
    api.wait_condition("TVoxLink", "c5", "Accepted", "True")
    settled(api)
    statuses = Counter(write for write in audit.writes(api.namespace) if write.endswith("/status"))
    assert statuses["patch tvoxlinks/c5/status"] == 1
    assert sum(statuses.values()) <= 2, statuses


@pytest.mark.timeout(240)
def test_250_links_that_change_in_one_second_cost_at_most_250_status_writes(api: Api, operator: Operator) -> None:
    api.create(an_instance(vpn={"slots": 250}), a_community())
    api.create(*(a_link(f"c{number:03d}") for number in range(250)))
    for number in (0, 249):
        api.wait_condition("TVoxLink", f"c{number:03d}", "Accepted", "True", timeout=90)
    audit = audited(api)
    api.delete("Community", "acme", wait=10)
    api.wait_condition("TVoxLink", "c249", "Accepted", "False", "CommunityNotFound", timeout=60)
    settled(api, quiet=3, timeout=120)
    statuses = Counter(write for write in audit.writes(api.namespace) if about(write, "tvoxlinks"))
    assert len(statuses) == 250
    assert set(statuses.values()) == {1}
    assert [w for w in audit.writes(api.namespace) if about(w, "secrets")] == []


def test_a_condition_that_somebody_else_adds_costs_one_look_and_no_write(api: Api, operator: Operator) -> None:
    """Other controllers may put conditions of their own beside ours."""
    api.create(an_instance(), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    settled(api)
    foreign = {
        "type": "example.com/Audited",
        "status": "True",
        "reason": "Yes",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    body = {
        "apiVersion": "mcs.tvox.io/v1alpha1",
        "kind": "TVoxLink",
        "metadata": {"name": "acme"},
        "status": {"conditions": [foreign]},
    }
    audit = audited(api)
    api.kubectl(
        "apply", "--server-side", "--subresource=status", "--field-manager=auditor", "-f", "-", stdin=_yaml(body)
    )
    settled(api)
    api.change("Community", "acme", displayName="ACME Spa")
    settled(api)
    assert [w for w in audit.writes(api.namespace) if about(w, "tvoxlinks")] == []
    assert "example.com/Audited" in {c["type"] for c in api.get("TVoxLink", "acme")["status"]["conditions"]}


def _yaml(body: object) -> str:
    import json

    return json.dumps(body)


@pytest.mark.timeout(240)
def test_250_tunnels_that_come_up_together_cost_one_status_write_each_and_then_none(
    api: Api, operator: Operator
) -> None:
    base = free_base_port()
    names = {f"c{number:03d}": number for number in range(2, 252)}
    api.create(an_instance(vpn={"slots": 250, "basePort": base}), a_community())
    api.create(*(a_link(name, vpnAddress=f"198.18.254.{number}") for name, number in names.items()))
    with fake_agent(api, base) as agent:
        for name in names:
            api.wait_condition("TVoxLink", name, "Ready", "True", "Programmed", timeout=90)
        for name in names:  # its DNS is asked once, some seconds after the rest
            api.wait_condition("TVoxLink", name, "DomainResolved", "False", "NotResolved", timeout=90)
        slots = [files(api.get("Secret", f"mcs-link-{number:03d}")) for number in names.values()]
        audit = audited(api)

        for number, slot in zip(names.values(), slots, strict=True):
            agent.show(number, pins_in(slot["server.conf"])[0])

        until("all are up", lambda: api.get("MCSInstance", "mcs")["status"]["links"].get("up") == 250, 60, pause=0.5)
        settled(api, quiet=3)
        written = Counter(audit.writes(api.namespace))
        assert [written[f"patch tvoxlinks/{name}/status"] for name in names] == [1] * 250
        others = {request: count for request, count in written.items() if not about(request, "tvoxlinks")}
        assert set(others) <= {"patch mcsinstances/mcs/status"}, others
        assert others["patch mcsinstances/mcs/status"] <= 5
        audit = audited(api)
        time.sleep(10)
        assert audit.writes(api.namespace) == []
