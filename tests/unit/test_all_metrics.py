"""A table of every metric with its value: of the operator, of the instances, of the link agent.

A metric that is new, or that tells something else, is a row here.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from mcs_operator.agent import metrics as agent_metrics
from mcs_operator.agent.board import Board, Counters
from mcs_operator.agent.inputs import Session, Slot
from mcs_operator.agent.tunnel import Link
from mcs_operator.agent.usage import Usage
from mcs_operator.contract.linkstate import MediaState, SlotState
from mcs_operator.handlers import metrics
from mcs_operator.handlers.queue import RECONCILE_SECONDS, RECONCILES
from mcs_operator.handlers.service import Service
from mcs_operator.issuing.orders import ORDERS
from mcs_operator.kube.client import REQUEST_SECONDS, REQUESTS
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS
from mcs_operator.pki import Expiries
from mcs_operator.settings import Settings
from mcs_operator.telemetry import Counter, Histogram
from support.objects import a_community, a_link, an_instance
from support.worlds import NAMESPACE, NOW

PLACE = f'namespace="{NAMESPACE}",mcs_instance="mcs"'
SECONDS = int(NOW.timestamp())


def conditions(**each: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": type_, "status": status, "reason": reason} for type_, (status, reason) in each.items()]


INSTANCE = an_instance() | {
    "status": {
        "conditions": conditions(Ready=("True", "Serving")),
        "links": {"accepted": 3, "up": 2, "rejected": 1, "capacity": 250},
        "users": {"served": 10, "capacity": 1000},
        "bandwidth": {"connections": 208},
        "interruptions": [{"number": 12, "cause": "SpecChanged"}, {"number": 11, "cause": "MediaImage"}],
    }
}
COMMUNITY = a_community(portalDomain="meet.acme.test") | {
    "status": {"conditions": conditions(Ready=("False", "TierExceeded"), LoginReady=("False", "NoPasswords"))}
}
LINK = a_link("acme") | {
    "status": {
        "slot": 17,
        "serviceState": "Draining",
        "conditions": conditions(
            Ready=("True", "Programmed"),
            Stalled=("True", "ProfileLost"),
            Connected=("False", "Lost"),
            CertificateReady=("False", "OrderFailed"),
        ),
    }
}
EXPIRIES = Expiries(
    instance="mcs",
    ca=NOW + timedelta(seconds=1),
    agent=NOW + timedelta(seconds=2),
    site=NOW + timedelta(seconds=3),
    servers={17: NOW + timedelta(seconds=4)},
    clients={17: NOW + timedelta(seconds=5)},
    sites={17: NOW + timedelta(seconds=6)},
    site_begins=NOW + timedelta(seconds=7),
    sites_begin={17: NOW + timedelta(seconds=8)},
    portals={"acme": NOW + timedelta(seconds=9)},
    portals_begin={"acme": NOW + timedelta(seconds=10)},
    ca_begins=NOW + timedelta(seconds=11),
    rotations={17: NOW + timedelta(seconds=12)},
)
OF_THE_OPERATOR = {
    "mcs_operator_leader": "1",
    "mcs_operator_queue_depth": "4",
    "mcs_operator_namespaces_unsettled": "1",
    "mcs_operator_namespaces_failed": "2",
    'mcs_operator_reconciles_total{outcome="failed"}': "1",
    'mcs_operator_certificate_orders_total{outcome="issued"}': "1",
    "mcs_operator_reconcile_duration_seconds_count": "1",
    "mcs_operator_reconcile_duration_seconds_sum": "0.500000",
    'mcs_operator_api_requests_total{method="GET",resource="secrets",code="200"}': "1",
    "mcs_operator_api_request_duration_seconds_count": "1",
}
OF_INSTANCES = {
    f'mcs_instance_info{{{PLACE},tier="UpTo1000"}}': "1",
    f'mcs_instance_condition{{{PLACE},condition="Ready",status="True"}}': "1",
    f'mcs_instance_condition{{{PLACE},condition="Ready",status="False"}}': "0",
    f"mcs_instance_links_accepted{{{PLACE}}}": "3",
    f"mcs_instance_links_up{{{PLACE}}}": "2",
    f"mcs_instance_links_rejected{{{PLACE}}}": "1",
    f"mcs_instance_links_capacity{{{PLACE}}}": "250",
    f"mcs_instance_users_served{{{PLACE}}}": "10",
    f"mcs_instance_users_capacity{{{PLACE}}}": "1000",
    f"mcs_instance_connections_capacity{{{PLACE}}}": "208",
    f"mcs_instance_interruptions_total{{{PLACE}}}": "12",
    f"mcs_instance_communities_not_served{{{PLACE}}}": "1",
    f"mcs_instance_portals_not_ready{{{PLACE}}}": "1",
    f'mcs_instance_certificates_not_ready{{{PLACE},reason="OrderFailed"}}': "1",
    f'mcs_link_info{{{PLACE},link="link-017",name="acme",community="acme"}}': "1",
    f'mcs_link_out_of_service{{{PLACE},link="link-017",name="acme",state="Draining"}}': "1",
    f'mcs_link_ready{{{PLACE},link="link-017",name="acme",reason="Programmed"}}': "1",
    f'mcs_link_stalled{{{PLACE},link="link-017",name="acme",reason="ProfileLost"}}': "1",
    f'mcs_link_connected{{{PLACE},link="link-017",name="acme",reason="Lost"}}': "0",
    f"mcs_ca_expiry_timestamp_seconds{{{PLACE}}}": str(SECONDS + 1),
    f"mcs_agent_certificate_expiry_timestamp_seconds{{{PLACE}}}": str(SECONDS + 2),
    f"mcs_site_certificate_expiry_timestamp_seconds{{{PLACE}}}": str(SECONDS + 3),
    f'mcs_link_server_certificate_expiry_timestamp_seconds{{{PLACE},link="link-017"}}': str(SECONDS + 4),
    f'mcs_link_client_certificate_expiry_timestamp_seconds{{{PLACE},link="link-017"}}': str(SECONDS + 5),
    f'mcs_link_site_certificate_expiry_timestamp_seconds{{{PLACE},link="link-017"}}': str(SECONDS + 6),
    f"mcs_site_certificate_not_before_timestamp_seconds{{{PLACE}}}": str(SECONDS + 7),
    f'mcs_link_site_certificate_not_before_timestamp_seconds{{{PLACE},link="link-017"}}': str(SECONDS + 8),
    f'mcs_portal_certificate_expiry_timestamp_seconds{{{PLACE},community="acme"}}': str(SECONDS + 9),
    f'mcs_portal_certificate_not_before_timestamp_seconds{{{PLACE},community="acme"}}': str(SECONDS + 10),
    f"mcs_ca_not_before_timestamp_seconds{{{PLACE}}}": str(SECONDS + 11),
    f'mcs_link_rotation_deadline_timestamp_seconds{{{PLACE},link="link-017"}}': str(SECONDS + 12),
}
OF_THE_AGENT = {
    f'mcs_link_up{{{PLACE},link="link-017"}}': "1",
    f'mcs_link_flaps_total{{{PLACE},link="link-017"}}': "3",
    f'mcs_link_received_bytes_total{{{PLACE},link="link-017"}}': "11",
    f'mcs_link_sent_bytes_total{{{PLACE},link="link-017"}}': "12",
    f'mcs_link_rtt_seconds{{{PLACE},link="link-017"}}': "0.500000",
    f'mcs_link_established_timestamp_seconds{{{PLACE},link="link-017"}}': "1700000000",
    f'mcs_link_refused_total{{{PLACE},link="link-017"}}': "13",
    f'mcs_link_noise_total{{{PLACE},link="link-017"}}': "14",
    f'mcs_link_source_dropped_total{{{PLACE},link="link-017"}}': "9",
    f'mcs_slot_running{{{PLACE},link="link-017"}}': "1",
    f'mcs_slot_quarantined{{{PLACE},link="link-017"}}': "0",
    f'mcs_slot_quarantined{{{PLACE},link="link-018"}}': "1",
    f'mcs_slot_running{{{PLACE},link="link-018"}}': "0",
    f"mcs_media_up{{{PLACE}}}": "1",
    f"mcs_media_connections{{{PLACE}}}": "200",
    f"mcs_media_draining{{{PLACE}}}": "1",
    f'mcs_link_out_of_service_connections{{{PLACE},link="link-017"}}': "2",
    f'mcs_media_calls{{{PLACE},community="acme"}}': "3",
    f'mcs_media_participants{{{PLACE},community="acme"}}': "7",
    f'mcs_media_call_seconds_total{{{PLACE},community="acme"}}': "7260",
    f'mcs_media_stored_bytes{{{PLACE},community="acme",kind="chat"}}': "205",
    f'mcs_media_stored_bytes{{{PLACE},community="acme",kind="files"}}': "1000",
    f'mcs_media_quota_bytes{{{PLACE},kind="chat"}}': "268435456",
    f'mcs_media_quota_bytes{{{PLACE},kind="files"}}': "1073741824",
    f'mcs_media_retention_seconds{{{PLACE},kind="chat"}}': "2592000",
    f'mcs_media_retention_seconds{{{PLACE},kind="files"}}': "604800",
    f'mcs_media_calls_refused_total{{{PLACE},cause="Draining"}}': "1",
    f'mcs_media_calls_refused_total{{{PLACE},cause="NoBandwidth"}}': "2",
}


def series(text: str) -> dict[str, str]:
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in rows}


def names(told: dict[str, str]) -> set[str]:
    return {re.sub(r"_(count|sum|bucket)$", "", name.partition("{")[0]) for name in told}


@pytest.fixture
def told() -> dict[str, str]:
    """What Prometheus reads of a leader."""

    async def read() -> str:
        service = Service(Settings())
        for at, (resource, body) in enumerate(((INSTANCES, INSTANCE), (COMMUNITIES, COMMUNITY), (LINKS, LINK))):
            metadata = {"namespace": NAMESPACE, "uid": f"u{at}", "resourceVersion": str(at + 1), "generation": 1}
            service.store.put(resource, body | {"metadata": metadata | body["metadata"]})
        outcomes, seconds = Counter(RECONCILES), Histogram(RECONCILE_SECONDS, (1,))
        outcomes.add("failed")
        seconds.observe(0.5)
        requests, answers = Counter(REQUESTS), Histogram(REQUEST_SECONDS, (1,))
        requests.add("GET", "secrets", "200")
        answers.observe(0.5)
        known: Any = service
        known._leads = True
        known._queue = SimpleNamespace(depth=4, outcomes=outcomes, seconds=seconds)
        api = SimpleNamespace(requests=requests, seconds=answers)
        orders = SimpleNamespace(outcomes=Counter(ORDERS))
        orders.outcomes.add("issued")
        known._reconciler = SimpleNamespace(
            unsettled={"a": 1}, failures={"a": 1, "b": 2}, api=api, expiries={NAMESPACE: EXPIRIES}, orders=orders
        )
        return "".join(service._expose())

    return series(asyncio.run(read()))


async def of_the_agent() -> dict[str, str]:
    board = Board()
    well = Link(
        Slot(SlotState.RUNNING, "r", dropped=9), session=Session(1, "198.51.100.7:1", 1_700_000_000, "2.4.12"), flaps=3
    )
    board.links = {17: well, 18: Link(Slot(SlotState.QUARANTINED, "r"))}
    board.counters = {17: Counters(received=11, sent=12, rtt=0.5, refused=13, noise=14), 18: Counters()}
    board.media_says(MediaState(connections=200, draining=True, outOfService={17: 2}))
    board.usage = Usage(
        {"acme": {"calls": 3, "participants": 7, "callSeconds": 7260, "chatBytes": 205, "fileBytes": 1000}},
        {"Draining": 1, "NoBandwidth": 2},
        {"chatBytes": 256 * 1024**2, "fileBytes": 1024**3},
        {"chatSeconds": 30 * 86_400, "fileSeconds": 7 * 86_400},
    )
    return series(agent_metrics.exposition(board, NAMESPACE, "mcs"))


@pytest.mark.parametrize("row", OF_THE_OPERATOR | OF_INSTANCES)
def test_a_leader_tells(told: dict[str, str], row: str) -> None:
    assert told.get(row) == (OF_THE_OPERATOR | OF_INSTANCES)[row], sorted(told)


@pytest.mark.parametrize("row", OF_THE_AGENT)
async def test_the_agent_tells(row: str) -> None:
    found = await of_the_agent()
    assert found.get(row) == OF_THE_AGENT[row], sorted(found)


def test_every_metric_has_a_row() -> None:
    assert names(OF_THE_OPERATOR) == {metric.name for metric in metrics.OF_THE_OPERATOR}
    assert names(OF_INSTANCES) == {metric.name for metric in metrics.OF_INSTANCES}
    of_the_agent = (*agent_metrics.OF_SLOTS, *agent_metrics.OF_MEDIA, *agent_metrics.OF_PORTALS)
    assert names(OF_THE_AGENT) == {metric.name for metric in of_the_agent}


def test_what_only_grows_is_a_counter_and_says_so_in_its_name() -> None:
    of_the_agent = (*agent_metrics.OF_SLOTS, *agent_metrics.OF_MEDIA, *agent_metrics.OF_PORTALS)
    for metric in (*metrics.OF_THE_OPERATOR, *metrics.OF_INSTANCES, *of_the_agent):
        expected = {"counter"} if metric.name.endswith("_total") else {"gauge", "histogram"}
        assert metric.kind in expected, metric.name
