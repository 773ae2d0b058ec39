"""The operator's metrics: one series a link and metric, none for what is not known, and nothing that is secret."""

from __future__ import annotations

import re
from collections import Counter as Counted
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from mcs_operator import telemetry
from mcs_operator.contract.shards import ServedCertificate
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import TlsSecret, World
from mcs_operator.domain.keyring import Keys, Serving
from mcs_operator.handlers.metrics import OF_INSTANCES, OF_THE_OPERATOR, instances
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.resources import BY_KIND
from mcs_operator.kube.wire import plural
from mcs_operator.pki import Expiries, complete, expiries, not_after
from mcs_operator.settings import ANNOTATION_REVOKE, ANNOTATION_ROTATE
from mcs_operator.telemetry import Histogram, Metric, exposed
from support.certificates import chain, key, text_of
from support.objects import a_community, a_link, an_instance
from support.rounds import Rounds
from support.worlds import NAMESPACE, NOW, community, given, instance, link, links

PLACE = f'namespace="{NAMESPACE}",mcs_instance="mcs"'


def series(text: str) -> dict[str, str]:
    """Values by series, without the labels that say where."""
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    assert all(PLACE in name for name, _, _ in rows)
    return {re.sub(rf"{re.escape(PLACE)},?", "", name).replace("{}", ""): value for name, _, value in rows}


def told(space: Rounds) -> dict[str, str]:
    """What is told of the certificates of a namespace after its last round."""
    world: World = space.world()
    plan = decide(world)
    found = expiries(plan, complete(world, plan))
    assert found
    return series("".join(instances(Store(wake=lambda _: None), {NAMESPACE: found})))


def served(count: int) -> Rounds:
    return Rounds(links(count)).round()


def stored(*objects: dict[str, Any]) -> str:
    """What is told of objects as they come from the API server."""
    store = Store(wake=lambda _: None)
    for at, body in enumerate(objects):
        metadata = {"namespace": NAMESPACE, "uid": f"u{at}", "resourceVersion": str(at + 1), "generation": 1}
        resource = BY_KIND[body["kind"]]
        store.put(resource, body | {"metadata": metadata | body["metadata"]})
    return "".join(instances(store, {}))


def conditions(**each: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": type_, "status": status, "reason": reason} for type_, (status, reason) in each.items()]


def a_told_link(name: str, slot: int | None, **each: tuple[str, str]) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": conditions(**each)} | ({"slot": slot} if slot else {})
    return a_link(name) | {"status": status}


UP = {"Ready": ("True", "Programmed"), "Stalled": ("False", "NotStalled"), "Connected": ("True", "Established")}


# --------------------------------------------------------------------------------------------------------- certificates


@pytest.mark.parametrize("count", [0, 1, 250])
def test_every_link_has_one_series_a_metric_beside_the_ca_and_the_agent(count: int) -> None:
    names = [series.partition("{")[0] for series in told(served(count))]
    assert names.count("mcs_ca_expiry_timestamp_seconds") == 1
    assert names.count("mcs_agent_certificate_expiry_timestamp_seconds") == 1
    assert names.count("mcs_link_server_certificate_expiry_timestamp_seconds") == count
    assert names.count("mcs_link_client_certificate_expiry_timestamp_seconds") == count


def test_the_values_are_the_ends_of_the_certificates() -> None:
    space = served(1)
    metrics = told(space)
    server = not_after(space.slot("c0000")["tls.crt"])
    assert server < NOW + timedelta(days=398)
    assert metrics['mcs_link_server_certificate_expiry_timestamp_seconds{link="link-002"}'] == str(
        int(server.timestamp())
    )
    ca = metrics["mcs_ca_expiry_timestamp_seconds"]
    assert ca == metrics['mcs_link_client_certificate_expiry_timestamp_seconds{link="link-002"}']
    assert int(ca) == int(not_after(space.slot("c0000")["ca.crt"]).timestamp())


def test_the_certificates_that_are_served_for_domains_are_told_and_links_without_one_are_not() -> None:
    certificate = chain("mcs.test", "acme.mcs.test", begins=NOW, ends=NOW + timedelta(days=90))
    space = Rounds([link("acme"), link("globex")], instance=instance(tls={"secretRef": {"name": "web"}}))
    space.tls["web"] = TlsSecret("web", certificate, text_of(key()))
    metrics = told(space.round())
    end = str(int(not_after(certificate).timestamp()))
    assert metrics["mcs_site_certificate_expiry_timestamp_seconds"] == end
    assert metrics['mcs_link_site_certificate_expiry_timestamp_seconds{link="link-002"}'] == end
    begins = str(int(NOW.timestamp()))
    assert metrics["mcs_site_certificate_not_before_timestamp_seconds"] == begins
    assert metrics['mcs_link_site_certificate_not_before_timestamp_seconds{link="link-002"}'] == begins
    assert len([name for name in metrics if "link_site" in name]) == 2


def test_during_a_rotation_the_link_has_one_series_still() -> None:
    space = served(1)
    space.round(days=10).ask("c0000", ANNOTATION_ROTATE)
    assert len(space.round().pins("c0000")) == 2
    assert len([name for name in told(space) if "client" in name]) == 1


def test_a_link_whose_only_certificate_is_revoked_has_no_end_to_watch() -> None:
    space = served(1)
    space.round(days=10).ask("c0000", ANNOTATION_REVOKE)
    metrics = told(space.round())
    assert not [name for name in metrics if "client" in name]
    assert [name for name in metrics if "server" in name], "it will be needed when a new profile is made"


def test_without_an_instance_nothing_is_told() -> None:
    world = given(links(1))
    plan = decide(world)
    assert expiries(plan, complete(world, plan)) is None
    assert series("".join(instances(Store(wake=lambda _: None), {}))) == {}


# ------------------------------------------------------------------------------------------------------------ instances


def test_an_instance_is_told_as_its_status_says() -> None:
    status = {
        "conditions": conditions(Ready=("True", "Serving")),
        "links": {"accepted": 3, "up": 2, "rejected": 1, "capacity": 250, "left": 247},
        "users": {"served": 10, "capacity": 1000, "left": 990},
        "bandwidth": {"total": "100M", "connections": 208},
    }
    assert series(stored(an_instance() | {"status": status})) == {
        'mcs_instance_info{tier="UpTo1000"}': "1",
        'mcs_instance_condition{condition="Ready",status="True"}': "1",
        'mcs_instance_condition{condition="Ready",status="False"}': "0",
        'mcs_instance_condition{condition="Ready",status="Unknown"}': "0",
        "mcs_instance_links_accepted": "3",
        "mcs_instance_links_up": "2",
        "mcs_instance_links_rejected": "1",
        "mcs_instance_links_capacity": "250",
        "mcs_instance_users_served": "10",
        "mcs_instance_users_capacity": "1000",
        "mcs_instance_connections_capacity": "208",
        "mcs_instance_interruptions_total": "0",
        "mcs_instance_communities_not_served": "0",
        "mcs_instance_portals_not_ready": "0",
    }


def test_communities_that_are_not_ready_are_counted_at_their_own_instance() -> None:
    told = [
        a_community(name, instance=of) | {"status": {"conditions": conditions(Ready=(ready, "Why"))}}
        for name, of, ready in (
            ("well", "mcs", "True"),
            ("bad", "mcs", "False"),
            ("worse", "mcs", "False"),
            ("new", "mcs", "Unknown"),
            ("other", "former", "False"),
        )
    ]
    found = series(stored(an_instance() | {"status": {"conditions": []}}, *told, a_community("unseen")))
    assert found["mcs_instance_communities_not_served"] == "2"


def test_portals_at_which_nobody_can_log_in_are_counted_and_communities_without_a_portal_are_not() -> None:
    told = [
        a_community(name, instance=of, **spec) | {"status": {"conditions": conditions(LoginReady=(ready, "Why"))}}
        for name, of, ready, spec in (
            ("well", "mcs", "True", {"portalDomain": "meet.well.test"}),
            ("bad", "mcs", "False", {"portalDomain": "meet.bad.test"}),
            ("old-image", "mcs", "Unknown", {"portalDomain": "meet.old.test"}),
            ("without", "mcs", "False", {}),
            ("other", "former", "False", {"portalDomain": "meet.other.test"}),
        )
    ]
    found = series(stored(an_instance() | {"status": {"conditions": []}}, *told))
    assert found["mcs_instance_portals_not_ready"] == "1"


def test_names_without_a_certificate_are_counted_by_their_reason_and_those_that_only_have_none_are_not() -> None:
    def of(status: str, reason: str) -> dict[str, Any]:
        return {"status": {"conditions": conditions(CertificateReady=(status, reason))}}

    found = series(
        stored(
            an_instance() | of("False", "IssuerNotReady"),
            a_community("acme") | of("Unknown", "NotConfigured"),
            *(a_link(name) | of("False", "OrderFailed") for name in ("a", "b")),
            a_link("c") | of("True", "RenewalFailed"),
            a_link("d") | of("True", "Issued"),
            a_link("e", instance="former") | of("False", "OrderFailed"),
        )
    )
    told = {name: count for name, count in found.items() if "certificates_not_ready" in name}
    assert {name.partition('reason="')[2]: count for name, count in told.items()} == {
        'IssuerNotReady"}': "1",
        'OrderFailed"}': "2",
        'RenewalFailed"}': "1",
    }


@pytest.mark.parametrize(("count", "told"), [(0, 0), (1, 1), (250, 250), (251, 250)])
def test_of_the_certificates_of_portals_the_250_that_end_first_are_told(count: int, told: int) -> None:
    portals = [community(f"c{n}", portalDomain=f"c{n}.mcs.test") for n in range(count)]
    plan = decide(given(instance(), portals))
    sites = tuple(ServedCertificate(f"c{n}.mcs.test", _chain(1 if n == 250 else 90), "") for n in range(count))
    found = expiries(plan, Keys(serving=Serving(portals=sites)))
    assert found
    assert len(found.portals) == len(found.portals_begin) == told
    assert count < 251 or "c250" in found.portals


@cache
def _chain(days: int) -> str:
    return chain("x.test", begins=NOW, ends=NOW + timedelta(days=days))


def test_an_instance_that_nobody_has_looked_at_yet_has_no_counts() -> None:
    assert set(series(stored(an_instance()))) == {'mcs_instance_info{tier="UpTo1000"}'}


def test_a_link_is_told_by_its_slot_with_its_name_and_with_the_reason_of_what_it_is() -> None:
    lost = UP | {"Connected": ("False", "Lost")}
    metrics = series(stored(a_told_link("acme", 17, **lost)))
    assert metrics == {
        'mcs_link_info{link="link-017",name="acme",community="acme"}': "1",
        'mcs_link_ready{link="link-017",name="acme",reason="Programmed"}': "1",
        'mcs_link_stalled{link="link-017",name="acme",reason="NotStalled"}': "0",
        'mcs_link_connected{link="link-017",name="acme",reason="Lost"}': "0",
    }


def test_what_is_unknown_is_not_connected() -> None:
    metrics = series(stored(a_told_link("acme", 17, Connected=("Unknown", "AgentUnreachable"))))
    assert metrics['mcs_link_connected{link="link-017",name="acme",reason="AgentUnreachable"}'] == "0"


@pytest.mark.parametrize("count", [0, 1, 249, 250, 251, 300])
def test_an_instance_has_at_most_250_series_a_metric_however_many_links_there_are(count: int) -> None:
    crowd = [a_told_link(f"c{at:03d}", at + 2 if at < 250 else None, **UP) for at in range(count)]
    counted = Counted(name.partition("{")[0] for name in series(stored(an_instance(), *crowd)))
    assert counted["mcs_link_connected"] == min(count, 250)
    assert max(counted.values()) <= 250


def test_two_statuses_that_claim_one_slot_make_one_series() -> None:
    text = stored(a_told_link("old", 2, **UP), a_told_link("new", 2, **UP))
    assert text.count("\nmcs_link_info{") == 1


def test_no_key_and_no_fingerprint_is_in_any_metric() -> None:
    space = served(2)
    text = "\n".join(told(space)) + stored(a_told_link("acme", 2, **UP))
    assert "BEGIN" not in text
    assert not re.search(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9a-f]{32}", text)


# --------------------------------------------------------------------------------------------------------------- format


def test_names_follow_prometheus_conventions() -> None:
    for metric in (*OF_THE_OPERATOR, *OF_INSTANCES):
        assert re.fullmatch(r"mcs_[a-z]+(_[a-z]+)*", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith("_seconds"), metric.name
        assert metric.text.endswith("."), metric.name
        assert "instance" not in metric.labels, "Prometheus has a label of that name itself"


def test_every_metric_is_there_once_with_help_and_type() -> None:
    text = "".join(instances(Store(wake=lambda _: None), {NAMESPACE: Expiries("mcs")}))
    assert re.findall(r"^# TYPE (\S+)", text, re.M) == [metric.name for metric in OF_INSTANCES]


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    text = exposed(Metric("m", "gauge", "M.", ("a",)), [(('x"} 1\nmcs_fake{a="\\',), 1)])
    assert text.splitlines()[2:] == ['m{a="x\\"} 1\\nmcs_fake{a=\\"\\\\"} 1']


def test_a_series_must_have_all_labels_of_its_metric() -> None:
    with pytest.raises(ValueError, match="shorter"):
        exposed(Metric("m", "gauge", "M.", ("a", "b")), [(("x",), 1)])


def test_a_histogram_counts_below_each_bound_and_the_bound_is_in() -> None:
    histogram = Histogram(Metric("m_seconds", "histogram", "M."), (0.1, 1.0))
    for seconds in (0.1, 0.5, 7):
        histogram.observe(seconds)
    assert histogram.text().splitlines()[2:] == [
        'm_seconds_bucket{le="0.1"} 1',
        'm_seconds_bucket{le="1"} 2',
        'm_seconds_bucket{le="+Inf"} 3',
        "m_seconds_sum 7.600000",
        "m_seconds_count 3",
    ]


def test_a_counter_counts_by_label() -> None:
    counter = telemetry.Counter(Metric("m_total", "counter", "M.", ("code",)))
    for code in ("200", "500", "200"):
        counter.add(code)
    assert counter.text().splitlines()[2:] == ['m_total{code="200"} 2', 'm_total{code="500"} 1']


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/api/v1/namespaces/demo/secrets/mcs-ca", "secrets"),
        ("/api/v1/pods", "pods"),
        ("/apis/apps/v1/namespaces/demo/statefulsets", "statefulsets"),
        ("/apis/mcs.tvox.io/v1alpha1/namespaces/demo/tvoxlinks/acme/status", "tvoxlinks"),
        ("/apis/mcs.tvox.io/v1alpha1/tvoxlinks", "tvoxlinks"),
        ("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/x", "validatingwebhookconfigurations"),
    ],
)
def test_a_request_is_counted_for_its_kind(path: str, wanted: str) -> None:
    assert plural(path) == wanted
