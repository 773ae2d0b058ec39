"""Every field says what a change of it costs, and the restart hash is made of exactly those that restart."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from mcs_operator.api import (
    KINDS,
    Community,
    Impact,
    KubernetesObject,
    MCSInstance,
    TVoxLink,
    changes,
    impacts,
    template_fields,
)
from mcs_operator.api import restart_fields as restart_fields_of
from mcs_operator.api.base import Model

HOT, IN_PLACE, THIS_LINK, NEW_PROFILE, MEDIA_RESTART, RESTART = Impact

REQUIRED: dict[str, Any] = {
    "domain": "mcs.example.com",
    "tier": "UpTo1000",
    "image": "registry.example.com/mcs:1.4.2",
    "publicAddress": "203.0.113.10",
    "nodeSelector": {"kubernetes.io/hostname": "media-1"},
}
LINK: dict[str, Any] = {
    "instanceRef": {"name": "mcs"},
    "communityRef": {"name": "acme"},
    "domain": "acme.mcs.example.com",
}


def instance(**spec: Any) -> MCSInstance:
    return MCSInstance.from_object({"metadata": {"name": "mcs"}, "spec": REQUIRED | spec})


def link(**spec: Any) -> TVoxLink:
    return TVoxLink.from_object({"metadata": {"name": "acme"}, "spec": LINK | spec})


def restart_fields(**spec: Any) -> dict[str, Any]:
    return restart_fields_of(instance(**spec))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_of_a_spec_has_an_impact(kind: type[KubernetesObject]) -> None:
    assert impacts(kind)


def test_a_field_without_an_impact_does_not_pass() -> None:
    class Spec(Model):
        fine: int = Field(default=0, json_schema_extra={"x-mcs-impact": "Hot"})
        forgotten: int = 0

    class Thing(KubernetesObject):
        kind = "Thing"
        plural = "things"
        spec: Spec

    with pytest.raises(ValueError, match=r"Thing: spec\.forgotten declares no impact"):
        impacts(Thing)


def test_what_only_another_pod_can_have_restarts_and_nothing_else() -> None:
    found = impacts(MCSInstance)
    assert {path for path, impact in found.items() if impact is RESTART} == {
        "spec.imagePullSecrets[].name",
        "spec.nodeSelector",
        "spec.tolerations[].key",
        "spec.tolerations[].operator",
        "spec.tolerations[].value",
        "spec.tolerations[].effect",
        "spec.tolerations[].tolerationSeconds",
        "spec.network.mode",
        "spec.network.mediaPort",
        "spec.vpn.slots",
        "spec.vpn.basePort",
        "spec.vpn.cidr",
        "spec.vpn.tunDevice.hostPath",
        "spec.vpn.tunDevice.resourceName",
        "spec.suspend",
    }
    assert THIS_LINK not in found.values()


def test_the_image_costs_the_media_and_a_size_costs_nothing() -> None:
    found = impacts(MCSInstance)
    assert {path for path, impact in found.items() if impact is MEDIA_RESTART} == {"spec.image"}
    assert {path for path, impact in found.items() if impact is IN_PLACE} == {
        "spec.tier",
        "spec.resources.requests.cpu",
        "spec.resources.requests.memory",
        "spec.resources.limits.cpu",
        "spec.resources.limits.memory",
    }


def test_no_change_of_a_customer_ever_restarts_the_pod() -> None:
    assert set(impacts(Community).values()) == {HOT}
    assert set(impacts(TVoxLink).values()) == {HOT, THIS_LINK, NEW_PROFILE}


def test_what_openvpn_or_its_firewall_is_started_with_costs_this_link_a_reconnect() -> None:
    assert {path for path, impact in impacts(TVoxLink).items() if impact is THIS_LINK} == {
        "spec.enabled",
        "spec.allowedSources[]",
    }


def test_what_makes_an_installed_profile_useless_costs_a_new_one() -> None:
    assert {path for path, impact in impacts(TVoxLink).items() if impact is NEW_PROFILE} == {
        "spec.instanceRef.name",
        "spec.protocol",
    }
    assert {path for path, impact in impacts(MCSInstance).items() if impact is NEW_PROFILE} == {
        "spec.vpn.caSecretRef.name"
    }


class TestRestartFields:
    def test_defaults_are_filled_in(self) -> None:
        assert restart_fields() == {
            "nodeSelector": {"kubernetes.io/hostname": "media-1"},
            "network": {"mode": "HostPort", "mediaPort": 10000},
            "vpn": {
                "slots": 250,
                "basePort": 21000,
                "cidr": "198.18.254.0/24",
                "tunDevice": {"hostPath": "/dev/net/tun"},
            },
        }

    @pytest.mark.parametrize(
        "same",
        [
            pytest.param({"network": {"mode": "HostPort"}}, id="a default spelled out"),
            pytest.param({"vpn": {"slots": 250, "tunDevice": {"hostPath": "/dev/net/tun"}}}, id="defaults of the vpn"),
            pytest.param({"tolerations": [], "imagePullSecrets": []}, id="empty lists"),
            pytest.param({"resources": {}}, id="an empty override"),
            pytest.param({"image": "registry.example.com/mcs:1.4.3"}, id="the image"),
            pytest.param({"suspend": True}, id="whether there is a pod at all"),
            pytest.param({"tier": "UpTo10000", "resources": {"requests": {"cpu": 1}}}, id="the size"),
            pytest.param({"domain": "other.example.com", "publicAddress": "203.0.113.11"}, id="names and addresses"),
            pytest.param(
                {"bandwidth": "1G", "drainSeconds": 1, "retain": {"links": "1h"}}, id="numbers of the operator"
            ),
            pytest.param({"portals": {"retention": {"chat": "1h"}, "quota": "2Gi"}}, id="what portals keep"),
            pytest.param({"storage": {"className": "fast", "size": "200G"}}, id="the volume"),
            pytest.param({"tls": {"secretRef": {"name": "wildcard"}}}, id="certificates"),
            pytest.param({"vpn": {"caSecretRef": {"name": "ca"}}}, id="the CA"),
        ],
    )
    def test_what_does_not_change_the_pod_does_not_change_them(self, same: dict[str, Any]) -> None:
        assert restart_fields(**same) == restart_fields()

    @pytest.mark.parametrize(
        "other",
        [
            {"imagePullSecrets": [{"name": "registry"}]},
            {"nodeSelector": {"kubernetes.io/hostname": "media-2"}},
            {"tolerations": [{"operator": "Exists"}]},
            {"network": {"mode": "HostNetwork"}},
            {"network": {"mediaPort": 10001}},
            {"vpn": {"slots": 249}},
            {"vpn": {"tunDevice": {"resourceName": "example.com/tun"}}},
        ],
        ids=str,
    )
    def test_what_changes_the_pod_changes_them(self, other: dict[str, Any]) -> None:
        assert restart_fields(**other) != restart_fields()

    def test_pull_secrets_in_another_order_are_the_same(self) -> None:
        one, other = {"name": "one"}, {"name": "other"}
        assert restart_fields(imagePullSecrets=[other, one]) == restart_fields(imagePullSecrets=[one, other])
        assert changes(instance(imagePullSecrets=[other, one]), instance(imagePullSecrets=[one, other])) == ()

    def test_the_same_amount_in_another_spelling_is_the_same(self) -> None:
        plain = {"requests": {"cpu": "1", "memory": "1Gi"}}
        spelled = {"requests": {"cpu": "1000m", "memory": "1024Mi"}}
        assert changes(instance(resources=plain), instance(resources=spelled)) == ()
        assert template_fields(instance(resources=plain)) == template_fields(instance(resources=spelled))

    def test_by_the_rule_of_earlier_releases_image_and_size_are_among_them(self) -> None:
        more = {"tier": "UpTo1000", "image": "registry.example.com/mcs:1.4.2"}
        assert template_fields(instance()) == template_fields(instance(suspend=True)) == restart_fields() | more
        sized = {"requests": {"cpu": "1"}}
        assert template_fields(instance(resources=sized)) == restart_fields() | more | {"resources": sized}


class TestChanges:
    def test_spelling_out_a_default_is_no_change(self) -> None:
        assert changes(instance(), instance(drainSeconds=300, network={"mode": "HostPort"})) == ()

    def test_a_change_names_field_impact_and_both_values(self) -> None:
        (change,) = changes(instance(), instance(vpn={"slots": 8}))
        assert (change.path, change.impact, change.before, change.after) == ("spec.vpn.slots", RESTART, 250, 8)

    def test_each_changed_field_counts_for_itself(self) -> None:
        found = changes(instance(), instance(image="mcs:2", domain="new.example.com", bandwidth="1G"))
        assert {change.path: change.impact for change in found} == {
            "spec.image": MEDIA_RESTART,
            "spec.domain": HOT,
            "spec.bandwidth": HOT,
        }

    def test_a_list_changes_as_a_whole_and_a_set_has_no_order(self) -> None:
        one, other = "203.0.113.0/24", "198.51.100.0/24"
        assert changes(link(allowedSources=[one, other]), link(allowedSources=[other, one])) == ()
        (change,) = changes(link(allowedSources=[one]), link(allowedSources=[one, other]))
        assert (change.path, change.impact) == ("spec.allowedSources", THIS_LINK)

    def test_a_sub_object_that_comes_or_goes_is_told_by_its_fields(self) -> None:
        (change,) = changes(link(), link(tls={"secretRef": {"name": "own"}}))
        assert (change.path, change.before, change.after) == ("spec.tls.secretRef.name", None, "own")
