"""The operator's metrics: of itself, and of each instance; of an instance at most 250 series a metric.

Every replica tells of itself. Only the leader tells of instances, or they would be there twice; it reads what it wrote
into their statuses, so a new leader has all of it at once. What passes through a tunnel is told by the link agent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcs_operator.api import ObservedServiceState
from mcs_operator.api.conditions import ConditionStatus, Reason, Type
from mcs_operator.handlers.queue import RECONCILE_SECONDS, RECONCILES
from mcs_operator.issuing.orders import ORDERS
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import REQUEST_SECONDS, REQUESTS
from mcs_operator.kube.parse.ours import named
from mcs_operator.kube.resources import COMMUNITIES, INSTANCES, LINKS, Object
from mcs_operator.pki import Expiries
from mcs_operator.settings import link_name
from mcs_operator.telemetry import Metric, Sample, exposed

LEADER = Metric("mcs_operator_leader", "gauge", "1 while this replica leads, 0 while it stands by.")
DEPTH = Metric("mcs_operator_queue_depth", "gauge", "Namespaces that wait to be reconciled.")
UNSETTLED = Metric(
    "mcs_operator_namespaces_unsettled", "gauge", "Namespaces in which something could not be written, and is retried."
)
FAILED = Metric(
    "mcs_operator_namespaces_failed",
    "gauge",
    "Namespaces whose last reconciliation failed; Stalled of their MCSInstance says where.",
)

_INSTANCE = ("namespace", "mcs_instance")
_LINK = (*_INSTANCE, "link")
_INFO = Metric("mcs_instance_info", "gauge", "1, for each MCSInstance.", (*_INSTANCE, "tier"))
_CONDITION = Metric(
    "mcs_instance_condition",
    "gauge",
    "1 for the status that a condition of the MCSInstance has, 0 for the two that it has not.",
    (*_INSTANCE, "condition", "status"),
)
_COUNTS: Mapping[tuple[str, str], Metric] = {
    (part, name): Metric(f"mcs_instance_{part}_{name}", "gauge", text, _INSTANCE)
    for part, name, text in (
        ("links", "accepted", "TVoxLinks that are accepted."),
        ("links", "up", "TVoxLinks that have a tunnel; absent while the link agent is silent."),
        ("links", "rejected", "TVoxLinks that are not accepted."),
        ("links", "capacity", "Slots: TVoxLinks that can be served."),
        ("users", "served", "Users of all communities that are served."),
        ("users", "capacity", "Users that the tier carries."),
    )
}
_BAND = Metric(
    "mcs_instance_connections_capacity", "gauge", "Connections that the site's Internet band carries.", _INSTANCE
)
_INTERRUPTIONS = Metric(
    "mcs_instance_interruptions_total",
    "counter",
    "Times that the operator interrupted customers of the instance: the media pod or the media was replaced, or slots "
    "in use got another image, one after the other.",
    _INSTANCE,
)
_COMMUNITIES = Metric(
    "mcs_instance_communities_not_served",
    "gauge",
    "Communities that are not Ready: some of their users are not served as declared.",
    _INSTANCE,
)
_PORTALS = Metric(
    "mcs_instance_portals_not_ready",
    "gauge",
    "Communities that declare a portal, and whose LoginReady is False: nobody can log in there, or not as declared.",
    _INSTANCE,
)
_CERTIFICATES = Metric(
    "mcs_instance_certificates_not_ready",
    "gauge",
    "Public names (of the instance, links and portals) whose CertificateReady is False, or whose renewal fails, by its "
    "reason.",
    (*_INSTANCE, "reason"),
)
_LINK_INFO = Metric(
    "mcs_link_info",
    "gauge",
    "1, with the name of the TVoxLink that has this slot: joins names to the agent's metrics.",
    (*_LINK, "name", "community"),
)
_LINK_SERVICE = Metric(
    "mcs_link_out_of_service",
    "gauge",
    "1 for a TVoxLink that takes no new sessions, with its state, Draining or OutOfService; absent for all others.",
    (*_LINK, "name", "state"),
)
_LINK_CONDITIONS = {
    Type.READY: Metric(
        "mcs_link_ready", "gauge", "1 while the TVoxLink is Ready, with its reason.", (*_LINK, "name", "reason")
    ),
    Type.STALLED: Metric(
        "mcs_link_stalled", "gauge", "1 while the TVoxLink waits for a person.", (*_LINK, "name", "reason")
    ),
    Type.CONNECTED: Metric(
        "mcs_link_connected", "gauge", "1 while the TVoxLink is Connected, with its reason.", (*_LINK, "name", "reason")
    ),
}
_CA = Metric(
    "mcs_ca_expiry_timestamp_seconds",
    "gauge",
    "When the CA of an instance ends, and with it every TVox's certificate.",
    _INSTANCE,
)
_CA_BEGINS = Metric(
    "mcs_ca_not_before_timestamp_seconds",
    "gauge",
    "Since when the CA of an instance is valid: with its end, its life.",
    _INSTANCE,
)
_AGENT = Metric(
    "mcs_agent_certificate_expiry_timestamp_seconds", "gauge", "When the link agent's certificate ends.", _INSTANCE
)
_SITE = Metric(
    "mcs_site_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate ends that is served for the instance's own domain.",
    _INSTANCE,
)
_SITE_BEGINS = Metric(
    "mcs_site_certificate_not_before_timestamp_seconds",
    "gauge",
    "Since when the certificate is valid that is served for the instance's own domain: with its end, its life.",
    _INSTANCE,
)
_SERVER = Metric(
    "mcs_link_server_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the server's certificate of a link ends; it is renewed after five sixths of its life at the latest.",
    _LINK,
)
_CLIENT = Metric(
    "mcs_link_client_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate of a link's TVox ends; of two that are accepted the first to end.",
    _LINK,
)
_ROTATION = Metric(
    "mcs_link_rotation_deadline_timestamp_seconds",
    "gauge",
    "When a link's old certificate is refused though its TVox has not shown the new one; absent without a rotation.",
    _LINK,
)
_LINK_SITE = Metric(
    "mcs_link_site_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate ends that is served for a link's domain.",
    _LINK,
)
_LINK_SITE_BEGINS = Metric(
    "mcs_link_site_certificate_not_before_timestamp_seconds",
    "gauge",
    "Since when the certificate is valid that is served for a link's domain.",
    _LINK,
)

_PORTAL_SITE = Metric(
    "mcs_portal_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the certificate ends that is served for a Community's portal; of an instance the 250 that end first.",
    (*_INSTANCE, "community"),
)
_PORTAL_SITE_BEGINS = Metric(
    "mcs_portal_certificate_not_before_timestamp_seconds",
    "gauge",
    "Since when the certificate is valid that is served for a Community's portal.",
    (*_INSTANCE, "community"),
)

OF_THE_OPERATOR = (LEADER, DEPTH, UNSETTLED, FAILED, RECONCILES, RECONCILE_SECONDS, REQUESTS, REQUEST_SECONDS, ORDERS)
OF_INSTANCES = (
    _INFO,
    _CONDITION,
    *_COUNTS.values(),
    _BAND,
    _INTERRUPTIONS,
    _COMMUNITIES,
    _PORTALS,
    _CERTIFICATES,
    _LINK_INFO,
    _LINK_SERVICE,
    *_LINK_CONDITIONS.values(),
    *(
        _CA,
        _CA_BEGINS,
        _AGENT,
        _SITE,
        _SITE_BEGINS,
        _SERVER,
        _CLIENT,
        _ROTATION,
        _LINK_SITE,
        _LINK_SITE_BEGINS,
        _PORTAL_SITE,
        _PORTAL_SITE_BEGINS,
    ),
)


def instances(store: Store, expiries: Mapping[str, Expiries]) -> Iterator[str]:
    """What the leader tells of all instances, as parts of a text; ``expiries`` of certificates by namespace.

    In parts, some of them empty, so that whoever sends them can let others go first: of 25,000 links that is half a
    second, in which no customer's change would be seen.
    """
    told: dict[Metric, list[Sample]] = {metric: [] for metric in OF_INSTANCES}
    for namespace in sorted(store.namespaces()):
        ours = store.cache(namespace).ours
        for (resource, _), body in sorted(ours.items(), key=lambda item: item[0][1]):
            if resource == INSTANCES:
                _add(told, _of_instance(namespace, body))
                if body.get("status"):
                    _add(told, _of_communities(namespace, str(body["metadata"]["name"]), ours))
                    _add(told, _of_orders(namespace, body, ours))
        slots = {link.slot: link for link in map(_Link.of, _bodies(ours)) if link}
        for _, link in sorted(slots.items()):
            _add(told, link.series(namespace))
        yield ""
    for namespace, end in sorted(expiries.items()):
        _add(told, _of_certificates(namespace, end))
    for metric, samples in told.items():
        yield exposed(metric, samples)


def _bodies(ours: Mapping[tuple[Any, str], Object]) -> list[Object]:
    return [body for (resource, _), body in ours.items() if resource == LINKS]


def _add(told: dict[Metric, list[Sample]], series: Iterator[tuple[Metric, Sample]]) -> None:
    for metric, sample in series:
        told[metric].append(sample)


def _of_instance(namespace: str, body: Object) -> Iterator[tuple[Metric, Sample]]:
    status, place = body.get("status") or {}, (namespace, str(body["metadata"]["name"]))
    yield _INFO, ((*place, str((body.get("spec") or {}).get("tier", ""))), 1)
    for condition in status.get("conditions") or []:
        for possible in ConditionStatus:
            labels = (*place, str(condition["type"]), str(possible))
            yield _CONDITION, (labels, condition["status"] == possible)
    for (part, name), metric in _COUNTS.items():
        if name in (status.get(part) or {}):
            yield metric, (place, status[part][name])
    if "connections" in (status.get("bandwidth") or {}):
        yield _BAND, (place, status["bandwidth"]["connections"])
    if status:
        yield _INTERRUPTIONS, (place, max((one["number"] for one in status.get("interruptions") or []), default=0))


def _of_communities(
    namespace: str, instance: str, ours: Mapping[tuple[Any, str], Object]
) -> Iterator[tuple[Metric, Sample]]:
    theirs = [
        body
        for (resource, _), body in ours.items()
        if resource == COMMUNITIES and named(body["spec"], "instanceRef", "name") == instance
    ]
    portals = [body for body in theirs if body["spec"].get("portalDomain")]
    yield _COMMUNITIES, ((namespace, instance), _false(theirs, Type.READY))
    yield _PORTALS, ((namespace, instance), _false(portals, Type.LOGIN_READY))


def _of_orders(
    namespace: str, instance: Object, ours: Mapping[tuple[Any, str], Object]
) -> Iterator[tuple[Metric, Sample]]:
    """Of all who have a name, how many have no certificate as they should, by what they say."""
    name = str(instance["metadata"]["name"])
    theirs = (body for body in ours.values() if named(body["spec"], "instanceRef", "name") == name)
    told = (c for body in (instance, *theirs) for c in (body.get("status") or {}).get("conditions") or [])
    reasons = Counter(
        str(condition["reason"])
        for condition in told
        if condition["type"] == Type.CERTIFICATE_READY
        and (condition["status"] == ConditionStatus.FALSE or condition["reason"] == Reason.RENEWAL_FAILED)
    )
    for reason, count in sorted(reasons.items()):
        yield _CERTIFICATES, ((namespace, name, reason), count)


def _false(communities: list[Object], type: Type) -> int:
    """How many of them have this condition, and False."""
    known = ((body.get("status") or {}).get("conditions") or [] for body in communities)
    return sum((c["type"], c["status"]) == (type, ConditionStatus.FALSE) for conditions in known for c in conditions)


@dataclass(frozen=True, slots=True)
class _Link:
    """A TVoxLink with a slot; one without has no series, so there are never more than 250 of each."""

    slot: int
    name: str
    instance: str
    community: str
    service_state: str
    conditions: Mapping[str, Object]

    @classmethod
    def of(cls, body: Object) -> _Link | None:
        spec, status = body.get("spec") or {}, body.get("status") or {}
        if not status.get("slot"):
            return None
        return cls(
            slot=int(status["slot"]),
            name=str(body["metadata"]["name"]),
            instance=named(spec, "instanceRef", "name"),
            community=named(spec, "communityRef", "name"),
            service_state=str(status.get("serviceState") or ObservedServiceState.IN_SERVICE),
            conditions={condition["type"]: condition for condition in status.get("conditions") or []},
        )

    def series(self, namespace: str) -> Iterator[tuple[Metric, Sample]]:
        place = (namespace, self.instance, link_name(self.slot), self.name)
        yield _LINK_INFO, ((*place, self.community), 1)
        if self.service_state != ObservedServiceState.IN_SERVICE:
            yield _LINK_SERVICE, ((*place, self.service_state), 1)
        for type_, metric in _LINK_CONDITIONS.items():
            if condition := self.conditions.get(type_):
                yield metric, ((*place, str(condition["reason"])), condition["status"] == ConditionStatus.TRUE)


def _of_certificates(namespace: str, expiries: Expiries) -> Iterator[tuple[Metric, Sample]]:
    place = (namespace, expiries.instance)
    for metric, moment in (
        (_CA, expiries.ca),
        (_CA_BEGINS, expiries.ca_begins),
        (_AGENT, expiries.agent),
        (_SITE, expiries.site),
        (_SITE_BEGINS, expiries.site_begins),
    ):
        if moment:
            yield metric, (place, _seconds(moment))
    for metric, by_number in (
        (_SERVER, expiries.servers),
        (_CLIENT, expiries.clients),
        (_ROTATION, expiries.rotations),
        (_LINK_SITE, expiries.sites),
        (_LINK_SITE_BEGINS, expiries.sites_begin),
    ):
        for number, moment in sorted(by_number.items()):
            yield metric, ((*place, link_name(number)), _seconds(moment))
    for metric, by_community in ((_PORTAL_SITE, expiries.portals), (_PORTAL_SITE_BEGINS, expiries.portals_begin)):
        for community, moment in sorted(by_community.items()):
            yield metric, ((*place, community), _seconds(moment))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
