"""The table of impacts beside what a node saw: each field, and the end-to-end test that changes it and looks.

Such a test has a probe through other customers' tunnels, or looks at who was restarted: a wrong class fails it.
"""

from __future__ import annotations

import re

import pytest

from mcs_operator.api import Community, Impact, MCSInstance, TVoxLink, impacts
from support.api import ROOT

HOT, IN_PLACE, THIS_LINK, NEW_PROFILE, MEDIA_RESTART, RESTART = Impact

CUSTOMERS, RESILIENCE = "running/test_customers.py", "running/test_resilience.py"
HOT_FIELDS = "running/test_unnoticed_fields.py::test_fields_that_are_hot_are_changed_and_undone_and_no_tunnel_notices"
SOLVERS = f"{CUSTOMERS}::test_challenges_are_passed_on_to_the_solvers_of_a_service_and_no_more_and_nobody_notices"
USERS = f"{CUSTOMERS}::test_a_changed_community_is_in_the_appliances_files_without_a_restart"
SIZE = "test_in_place.py::test_another_size_is_in_force_and_nobody_notices"
WINDOWS = "test_gate.py::test_by_force_somebody_who_talks_is_cut_off_before_the_window_ends_and_not_earlier"
TOLERATIONS = f"{RESILIENCE}::test_a_changed_field_of_impact_restart_restarts_the_pod_once"
CERTIFICATE = (
    f"{RESILIENCE}::"
    "test_a_certificate_for_a_customers_domain_is_served_without_a_restart_and_a_broken_one_changes_nothing"
)
SEEN: dict[str, tuple[Impact, str]] = {
    "MCSInstance spec.image": (MEDIA_RESTART, "test_in_place.py::test_another_image_costs_the_calls_and_no_tunnel"),
    "MCSInstance spec.resources.limits.cpu": (IN_PLACE, SIZE),
    "MCSInstance spec.resources.limits.memory": (IN_PLACE, SIZE),
    "MCSInstance spec.tolerations[].key": (RESTART, TOLERATIONS),
    "MCSInstance spec.tolerations[].operator": (RESTART, TOLERATIONS),
    "MCSInstance spec.vpn.slots": (RESTART, "test_gate.py::test_when_the_window_opens_an_idle_pod_is_replaced"),
    "MCSInstance spec.suspend": (
        RESTART,
        "test_node_drain.py::test_an_appliance_that_is_suspended_stops_keeps_all_and_comes_back",
    ),
    "MCSInstance spec.serviceState": (
        HOT,
        f"{CUSTOMERS}::test_the_whole_appliance_goes_out_of_service_and_no_tunnel_notices",
    ),
    "MCSInstance spec.disruptions.windows[].schedule": (HOT, HOT_FIELDS),
    "MCSInstance spec.disruptions.windows[].duration": (HOT, HOT_FIELDS),
    "MCSInstance spec.bandwidth": (HOT, HOT_FIELDS),
    "MCSInstance spec.drainSeconds": (HOT, HOT_FIELDS),
    "MCSInstance spec.communityLimits.users": (HOT, HOT_FIELDS),
    "MCSInstance spec.communityLimits.links": (HOT, HOT_FIELDS),
    "MCSInstance spec.portals.retention.chat": (HOT, HOT_FIELDS),
    "MCSInstance spec.portals.retention.files": (HOT, HOT_FIELDS),
    "MCSInstance spec.portals.quota": (HOT, HOT_FIELDS),
    "MCSInstance spec.retain.links": (HOT, HOT_FIELDS),
    "MCSInstance spec.publicAddress": (HOT, HOT_FIELDS),
    "MCSInstance spec.retain.storage": (
        HOT,
        f"{RESILIENCE}::test_an_instance_that_is_deleted_and_applied_again_serves_the_old_profiles",
    ),
    "MCSInstance spec.retain.pki": (
        HOT,
        f"{RESILIENCE}::test_an_instance_that_is_deleted_and_applied_again_serves_the_old_profiles",
    ),
    "TVoxLink spec.protocol": (
        NEW_PROFILE,
        f"{CUSTOMERS}::test_a_link_changes_from_udp_to_tcp_and_back_and_nobody_else_notices",
    ),
    "TVoxLink spec.allowedSources[]": (
        THIS_LINK,
        f"{CUSTOMERS}::test_allowed_sources_shut_a_tvox_out_and_in_and_nobody_else_notices",
    ),
    "TVoxLink spec.enabled": (
        THIS_LINK,
        f"{CUSTOMERS}::test_a_link_is_disabled_and_enabled_without_a_visit_to_the_tvox_and_nobody_else_notices",
    ),
    "TVoxLink spec.domain": (HOT, f"{CUSTOMERS}::test_a_link_changes_its_public_name_and_nobody_else_notices"),
    "TVoxLink spec.serviceState": (
        HOT,
        f"{CUSTOMERS}::test_a_customer_who_goes_out_of_service_keeps_his_tunnel_and_nobody_else_notices",
    ),
    "TVoxLink spec.tls.secretRef.name": (
        HOT,
        CERTIFICATE,
    ),
    "Community spec.displayName": (HOT, USERS),
    "Community spec.users[].name": (HOT, USERS),
    "Community spec.users[].displayName": (HOT, USERS),
    "Community spec.enabled": (HOT, HOT_FIELDS),
    "Community spec.defaultFunctions[]": (HOT, HOT_FIELDS),
    **{
        f"MCSInstance spec.tls.acme.{field}": (HOT, HOT_FIELDS)
        for field in (
            "server",
            "email",
            "accountSecretRef.name",
            "externalAccountBinding.keyID",
            "externalAccountBinding.keySecretRef.name",
            "caBundle",
            "certificatesPerWeek",
        )
    },
    **{f"MCSInstance spec.tls.http01.serviceRef.{field}": (HOT, SOLVERS) for field in ("name", "port")},
    "MCSInstance spec.communityLimits.calls": (HOT, HOT_FIELDS),
    "MCSInstance spec.communityLimits.participants": (HOT, HOT_FIELDS),
    "MCSInstance spec.disruptions.windows[].timeZone": (HOT, HOT_FIELDS),
    "MCSInstance spec.disruptions.whenIdle.seconds": (HOT, HOT_FIELDS),
    "MCSInstance spec.disruptions.atWindowEnd": (HOT, HOT_FIELDS),
    "MCSInstance spec.disruptions.deadline": (HOT, HOT_FIELDS),
    "MCSInstance spec.disruptions.rollbackAfter": (HOT, HOT_FIELDS),
    "Community spec.users[].enabled": (HOT, HOT_FIELDS),
    "Community spec.users[].functions[]": (HOT, HOT_FIELDS),
    "Community spec.usersFrom[].configMapRef.name": (HOT, HOT_FIELDS),
    "Community spec.usersFrom[].secretRef.name": (HOT, HOT_FIELDS),
    "Community spec.portalDomain": (HOT, HOT_FIELDS),
    "Community spec.tls.secretRef.name": (HOT, HOT_FIELDS),
    "Community spec.authentication.passwordsFrom[].secretRef.name": (HOT, HOT_FIELDS),
}
AS_TOLERATIONS = "no test; a part of the template as spec.tolerations[].key, which restarts the pod"
AS_THE_FILES = "no test; in the appliance's files alone, as spec.users[].name of a Community"
UNSEEN: dict[str, str] = {
    "MCSInstance spec.domain": "cannot be changed while links exist",
    "MCSInstance spec.vpn.basePort": "cannot be changed",
    "MCSInstance spec.vpn.cidr": "cannot be changed",
    "MCSInstance spec.storage.className": "cannot be changed once it is set",
    "MCSInstance spec.storage.size": "the node's volumes do not grow",
    "MCSInstance spec.vpn.caSecretRef.name": "no test; it costs each customer a new profile",
    "MCSInstance spec.tls.secretRef.name": "no test; as spec.tls.secretRef.name of a TVoxLink",
    "MCSInstance spec.tier": "no test; a size, as spec.resources",
    "MCSInstance spec.resources.requests.cpu": "no test; a size, as spec.resources.limits",
    "MCSInstance spec.resources.requests.memory": "no test; a size, as spec.resources.limits",
    "MCSInstance spec.nodeSelector": "there is one node",
    "MCSInstance spec.imagePullSecrets[].name": AS_TOLERATIONS,
    "MCSInstance spec.tolerations[].value": AS_TOLERATIONS,
    "MCSInstance spec.tolerations[].effect": AS_TOLERATIONS,
    "MCSInstance spec.tolerations[].tolerationSeconds": AS_TOLERATIONS,
    "MCSInstance spec.network.mode": AS_TOLERATIONS,
    "MCSInstance spec.network.mediaPort": AS_TOLERATIONS,
    "MCSInstance spec.vpn.tunDevice.hostPath": AS_TOLERATIONS,
    "MCSInstance spec.vpn.tunDevice.resourceName": AS_TOLERATIONS,
    "Community spec.instanceRef.name": "no test; there is one instance in a namespace",
    "TVoxLink spec.instanceRef.name": "cannot be changed",
    "TVoxLink spec.vpnAddress": "cannot be changed once a number is allocated",
    "TVoxLink spec.communityRef.name": AS_THE_FILES,
}
"""Why no test of a node changes them; tests/unit/api/test_impacts.py has which part of the template each reaches."""
ALL = {
    f"{kind.kind} {path}": impact
    for kind in (MCSInstance, Community, TVoxLink)
    for path, impact in impacts(kind).items()
}


@pytest.mark.parametrize("field", SEEN)
def test_what_a_node_saw_is_what_the_table_says(field: str) -> None:
    impact, test = SEEN[field]
    assert ALL[field] is impact
    file, _, name = test.partition("::")
    source = (ROOT / "tests" / "e2e" / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), test
    last = re.sub(r"\[\]$", "", field).rpartition(".")[2]
    words = {last, field.split(".")[1].removesuffix("[]")}
    assert any(word in source for word in words), f"{file} does not speak of {last}"


def test_every_field_was_seen_or_has_a_reason_why_not() -> None:
    assert not set(SEEN) & set(UNSEEN)
    assert set(SEEN) | set(UNSEEN) == set(ALL)


def test_every_class_was_seen_by_a_node() -> None:
    assert {impact for impact, _ in SEEN.values()} == set(Impact)
