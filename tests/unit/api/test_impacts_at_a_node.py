"""The table of impacts beside what a node saw: each field, and the end-to-end test that changes it and looks.

Such a test has a probe through other customers' tunnels, or looks at who was restarted: a wrong class fails it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mcs_operator.api import KINDS, Impact, impacts
from mcs_operator.api.impact import IMMUTABLE_KEY
from mcs_operator.api.schema import Schema, plain_schema
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
OF_THE_POD = "soak/test_fields_of_the_pod.py"
MORE_HOT_FIELDS = f"{OF_THE_POD}::test_fields_that_are_hot_are_changed_and_undone_and_no_tunnel_notices"
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
    "MCSInstance spec.domain": (
        HOT,
        f"{OF_THE_POD}::test_another_domain_before_there_are_links_is_served_and_restarts_nothing",
    ),
    "MCSInstance spec.tls.secretRef.name": (HOT, MORE_HOT_FIELDS),
    "MCSInstance spec.storage.size": (HOT, MORE_HOT_FIELDS),
    "Community spec.instanceRef.name": (HOT, MORE_HOT_FIELDS),
    "TVoxLink spec.communityRef.name": (HOT, MORE_HOT_FIELDS),
    **{
        f"MCSInstance spec.{field}": (IN_PLACE, f"{OF_THE_POD}::test_a_size_is_in_force_and_nobody_notices")
        for field in ("tier", "resources.requests.cpu", "resources.requests.memory")
    },
    **{
        f"MCSInstance spec.{field}": (
            RESTART,
            f"{OF_THE_POD}::test_each_field_of_the_template_waits_for_its_hour_by_itself_and_nobody_notices",
        )
        for field in (
            "nodeSelector",
            "imagePullSecrets[].name",
            "tolerations[].value",
            "tolerations[].effect",
            "tolerations[].tolerationSeconds",
            "network.mode",
            "network.mediaPort",
            "vpn.tunDevice.hostPath",
            "vpn.tunDevice.resourceName",
        )
    },
}
CRDS = "test_crds.py"
REFUSED: dict[str, str] = {
    "MCSInstance spec.vpn.basePort": f"{CRDS}::test_the_base_port_is_immutable",
    "MCSInstance spec.vpn.cidr": f"{CRDS}::test_the_vpn_network_is_immutable",
    "MCSInstance spec.vpn.caSecretRef.name": f"{CRDS}::test_the_ca_is_immutable",
    "MCSInstance spec.storage.className": f"{CRDS}::test_storage_stays_in_its_class_once_it_is_set",
    "TVoxLink spec.instanceRef.name": f"{CRDS}::test_the_instance_is_immutable",
    "TVoxLink spec.vpnAddress": f"{CRDS}::test_an_allocated_address_stays",
}
"""Of which there is no change that a node could see: a real API server refuses it (tests/integration)."""
ALL = {f"{kind.kind} {path}": impact for kind in KINDS for path, impact in impacts(kind).items()}


def immutable(schema: Schema, path: str, above: bool = False) -> Iterator[str]:
    """Leaves of a schema that say of themselves, or above which it is said, that they cannot be changed."""
    is_so = above or IMMUTABLE_KEY in schema
    for name, inner in schema.get("properties", {}).items():
        yield from immutable(inner, f"{path}.{name}", is_so)
    if is_so and "properties" not in schema:
        yield path


@pytest.mark.parametrize("field", SEEN)
def test_what_a_node_saw_is_what_the_table_says(field: str) -> None:
    impact, test = SEEN[field]
    assert ALL[field] is impact
    file, _, name = test.partition("::")
    source = (ROOT / "tests" / ("." if file == OF_THE_POD else "e2e") / file).read_text()
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), test
    last = re.sub(r"\[\]$", "", field).rpartition(".")[2]
    words = {last, field.split(".")[1].removesuffix("[]")}
    assert any(word in source for word in words), f"{file} does not speak of {last}"


@pytest.mark.parametrize("field", REFUSED)
def test_what_no_node_can_see_is_refused_by_the_api_server(field: str) -> None:
    file, _, name = REFUSED[field].partition("::")
    source = (ROOT / "tests" / "integration" / file).read_text()
    assert re.search(rf"^ *def {name}\(", source, re.MULTILINE), name
    kind = next(kind for kind in KINDS if field.startswith(f"{kind.kind} "))
    assert field.partition(" ")[2] in immutable(plain_schema(kind)["properties"]["spec"], "spec"), "the table says so"


def test_every_field_was_seen_by_a_node_or_is_refused() -> None:
    assert not set(SEEN) & set(REFUSED)
    assert set(SEEN) | set(REFUSED) == set(ALL)


def test_every_class_was_seen_by_a_node() -> None:
    assert {impact for impact, _ in SEEN.values()} == set(Impact)
