"""What the chart brings for Prometheus and Grafana fits the metrics that there are; `make alerts` plays the alerts."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from mcs_operator.agent.metrics import OF_MEDIA, OF_PORTALS, OF_SLOTS
from mcs_operator.api.conditions import Reason, Type
from mcs_operator.handlers.metrics import OF_INSTANCES, OF_THE_OPERATOR
from mcs_operator.pki import agent_name
from mcs_operator.telemetry import Metric
from support.api import ROOT
from support.chart import CHART, Object, deployment, refusal, rendered
from support.documented import blocks
from support.prometheus import prometheus_folder

METRICS: dict[str, Metric] = {m.name: m for m in (*OF_THE_OPERATOR, *OF_INSTANCES, *OF_SLOTS, *OF_MEDIA, *OF_PORTALS)}
ALERTS = [
    rule for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
PLAYED = sorted((ROOT / "tests" / "alerts").glob("*_test.yaml"))
DASHBOARD: Object = json.loads((CHART / "files" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
MONITOR = (
    "metrics.podMonitors[0].namespace=demo,metrics.podMonitors[0].instance=mcs,metrics.podMonitors[0].basePort=22000"
)


def names(query: str) -> set[str]:
    """The metrics in a query; of a histogram without what Prometheus appends."""
    found = set(re.findall(r"\bmcs_[a-z_]+\b", query)) - {"mcs_instance"}
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


# --------------------------------------------------------------------------------------------------------------- alerts


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_about_metrics_that_there_are_and_says_what_to_do(alert: Object) -> None:
    assert names(alert["expr"]) <= METRICS.keys()
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"]["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    assert (ROOT / alert["annotations"]["runbook_url"]).exists()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_reasons_and_conditions_in_an_alert_are_of_the_closed_table(alert: Object) -> None:
    reasons = re.findall(r'reason!?=~?"([^"]+)"', alert["expr"])
    assert {reason for several in reasons for reason in several.split("|")} <= set(Reason)
    assert set(re.findall(r'condition="([^"]+)"', alert["expr"])) <= set(Type)


def test_every_alert_is_played_once_where_it_fires() -> None:
    cases = [case for file in PLAYED for case in yaml.safe_load(file.read_text())["tests"]]
    fired = {rule["alertname"] for case in cases for rule in case["alert_rule_test"] if rule["exp_alerts"]}
    assert fired == {alert["alert"] for alert in ALERTS}


def test_there_is_no_runbook_for_an_alert_that_there_is_not() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in ALERTS}


LINKS = [alert["alert"] for alert in ALERTS if alert["alert"].startswith("TVoxLink")]


@pytest.mark.parametrize("name", LINKS)
def test_why_a_link_is_down_takes_three_commands_at_most(name: str) -> None:
    page = f"docs/runbooks/{name}.md"
    todo = (ROOT / page).read_text().splitlines().index("## Do") + 1
    looks = [block for block in blocks(page) if int(block.place.rpartition(":")[2]) < todo]
    assert 1 <= sum(len(block.commands()) for block in looks) <= 3


def test_each_reason_for_which_a_link_is_said_to_be_down_is_in_its_runbook() -> None:
    (alert,) = (alert for alert in ALERTS if alert["alert"] == "TVoxLinkDown")
    told = {reason for several in re.findall(r'reason=~?"([^"]+)"', alert["expr"]) for reason in several.split("|")}
    rows = [
        line.split("|")[1] for line in (ROOT / "docs/runbooks/TVoxLinkDown.md").read_text().splitlines() if "|" in line
    ]
    assert told == set(re.findall("`([A-Za-z]+)`", "".join(rows)))


def test_promtool_plays_the_alerts() -> None:
    """Where it is built; `make alerts` builds it."""
    promtool = prometheus_folder() / "promtool"
    command = [str(promtool), "test", "rules", *map(str, PLAYED)]
    played = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stdout + played.stderr


# ------------------------------------------------------------------------------------------------------------ dashboard


def test_every_panel_asks_for_metrics_that_there_are_and_every_metric_that_matters_has_a_panel() -> None:
    assert all(names(query) for query in QUERIES)
    shown = set().union(*map(names, QUERIES))
    assert shown <= METRICS.keys()
    matter = {name for name in METRICS if "_not_before_" not in name}  # for the alert, which goes by a share of a life
    assert len(matter - shown) <= 8, matter - shown


def test_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert all(panel["description"].endswith(".") for panel in PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


# ---------------------------------------------------------------------------------------------------------------- chart


def test_without_being_asked_the_chart_brings_nothing_that_a_cluster_may_not_know() -> None:
    kinds = {kind for kind, _ in rendered()}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert ("ConfigMap", "mcs-operator-dashboard") not in rendered()
    assert ("Service", "mcs-operator-metrics") not in rendered()


def test_the_service_monitor_finds_the_service_and_the_service_the_pods() -> None:
    objects = rendered("metrics.serviceMonitor.enabled=true", "metrics.labels.release=prometheus")
    monitor, service = objects["ServiceMonitor", "mcs-operator"], objects["Service", "mcs-operator-metrics"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= deployment()["spec"]["template"]["metadata"]["labels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (endpoint,) = monitor["spec"]["endpoints"]
    (port,) = service["spec"]["ports"]
    ports = deployment()["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] in {known["name"] for known in ports}
    assert endpoint["honorLabels"] is True
    assert endpoint["scheme"] == "https"
    others = [body for (kind, _), body in objects.items() if kind == "Service" and body is not service]
    assert not any(
        monitor["spec"]["selector"]["matchLabels"].items() <= other["metadata"]["labels"].items() for other in others
    )


def test_prometheus_shows_its_token_to_the_operator_alone_where_there_is_a_certificate_to_check() -> None:
    def endpoint(*values: str) -> Object:
        (found,) = rendered("metrics.serviceMonitor.enabled=true", *values)["ServiceMonitor", "mcs-operator"]["spec"][
            "endpoints"
        ]
        return dict(found)

    assert endpoint()["tlsConfig"] == {
        "ca": {"secret": {"name": "mcs-operator-webhook", "key": "ca.crt"}},
        "serverName": "mcs-operator-webhook.mcs-system.svc",
    }
    assert endpoint("webhook.enabled=false")["tlsConfig"] == {"insecureSkipVerify": True}
    assert endpoint()["bearerTokenFile"] == "/var/run/secrets/kubernetes.io/serviceaccount/token"


def test_accounts_that_are_named_may_read_the_metrics_and_nothing_else() -> None:
    objects = rendered("metrics.readers[0].namespace=monitoring", "metrics.readers[0].name=prometheus")
    role = objects["ClusterRole", "mcs-operator-metrics"]
    assert role["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    binding = objects["ClusterRoleBinding", "mcs-operator-metrics"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]
    assert ("ClusterRole", "mcs-operator-metrics") not in rendered()


def test_a_pod_monitor_asks_the_agent_with_the_secret_for_metrics_and_trusts_the_instances_ca() -> None:
    monitor = rendered(MONITOR)["PodMonitor", "mcs"]
    assert monitor["metadata"]["namespace"] == "demo"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "mcs-metrics", "key": "token"}
    assert endpoint["tlsConfig"]["ca"]["secret"] == {"name": "mcs-metrics", "key": "ca.crt"}
    assert endpoint["tlsConfig"]["serverName"] == agent_name("mcs", "demo")
    assert "insecureSkipVerify" not in endpoint["tlsConfig"]
    assert endpoint["relabelings"][1]["replacement"] == "$1:22001"


def test_where_the_runbooks_are_can_be_said() -> None:
    rule = rendered("metrics.rules.enabled=true", "metrics.rules.runbooks=https://wiki.example.com/mcs/")
    groups = rule["PrometheusRule", "mcs-operator"]["spec"]["groups"]
    shipped = [rule for group in groups for rule in group["rules"]]
    assert [rule["expr"] for rule in shipped] == [alert["expr"] for alert in ALERTS]
    urls = {rule["annotations"]["runbook_url"] for rule in shipped}
    assert urls == {f"https://wiki.example.com/mcs/{alert['alert']}.md" for alert in ALERTS}


def test_the_dashboard_is_shipped_as_it_is_in_the_repository() -> None:
    body = rendered("metrics.dashboard.enabled=true")["ConfigMap", "mcs-operator-dashboard"]
    assert json.loads(body["data"]["mcs.json"]) == DASHBOARD
    assert body["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_where_prometheus_runs_is_told_to_the_operator() -> None:
    def told(*values: str) -> dict[str, Any]:
        (container,) = deployment(*values)["spec"]["template"]["spec"]["containers"]
        return {variable["name"]: variable.get("value") for variable in container["env"]}

    assert told("metrics.namespace=monitoring")["MCS_METRICS_NAMESPACE"] == "monitoring"
    assert "MCS_METRICS_NAMESPACE" not in told()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("metrics.interval=often", "/metrics/interval"),
        ("metrics.podMonitors[0].namespace=demo", "/metrics/podMonitors/0"),
        ("metrics.rules.runbooks=", "/metrics/rules/runbooks"),
    ],
)
def test_values_that_make_no_sense_are_refused(value: str, place: str) -> None:
    assert place in refusal(value)
