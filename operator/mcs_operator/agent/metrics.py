"""The agent's metrics: one series per slot or Community and metric, so at most 250 each, and two where it says a kind.

Nothing that a stranger can choose becomes a label, and no user's name: a slot's number, whose customer `mcs_link_info`
of the operator says, and the name of a Community, as far as it can be an object's name.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcs_operator.agent.board import Board, Counters
from mcs_operator.agent.tunnel import Link
from mcs_operator.agent.usage import AGES, KINDS, Usage
from mcs_operator.contract.linkstate import MediaState, SlotState
from mcs_operator.settings import link_name
from mcs_operator.telemetry import Metric, Sample, exposed

_PLACE, _LINK = ("namespace", "mcs_instance"), ("namespace", "mcs_instance", "link")

_UP = Metric("mcs_link_up", "gauge", "1 while the link has a tunnel.", _LINK)
_FLAPS = Metric("mcs_link_flaps_total", "counter", "Unplanned losses of the tunnel in the life of the pod.", _LINK)
_RECEIVED = Metric("mcs_link_received_bytes_total", "counter", "Bytes from the TVox, since the agent started.", _LINK)
_SENT = Metric("mcs_link_sent_bytes_total", "counter", "Bytes to the TVox, since the agent started.", _LINK)
_RTT = Metric(
    "mcs_link_rtt_seconds", "gauge", "TCP connect time to the TVox through its tunnel; absent while unknown.", _LINK
)
_SINCE = Metric("mcs_link_established_timestamp_seconds", "gauge", "When the present tunnel came up.", _LINK)
_REFUSED = Metric(
    "mcs_link_refused_total",
    "counter",
    "Clients turned away for their certificate, since the agent started.",
    _LINK,
)
_NOISE = Metric(
    "mcs_link_noise_total",
    "counter",
    "Packets and connections from those who do not know the link's key, since the agent started.",
    _LINK,
)
_DROPPED = Metric(
    "mcs_link_source_dropped_total",
    "counter",
    "Packets from outside of spec.allowedSources that were dropped since the slot's firewall was loaded; looked at "
    "only while nothing comes through the tunnel, after ten seconds, then ever more seldom, ten minutes at most.",
    _LINK,
)
_RUNNING = Metric(
    "mcs_slot_running", "gauge", "1 while the slot runs OpenVPN on the wanted configuration, 0 if not.", _LINK
)
_QUARANTINED = Metric("mcs_slot_quarantined", "gauge", "1 while the slot refuses its present configuration.", _LINK)
_MEDIA = Metric("mcs_media_up", "gauge", "1 while the appliance answers.", _PLACE)
_CONNECTIONS = Metric("mcs_media_connections", "gauge", "Open connections of users.", _PLACE)
_DRAINING = Metric("mcs_media_draining", "gauge", "1 while no new connections are taken.", _PLACE)
_LEFT = Metric(
    "mcs_link_out_of_service_connections",
    "gauge",
    "Open connections of a link whose new ones the appliance refuses; absent for all others.",
    _LINK,
)

_COMMUNITY = (*_PLACE, "community")
_CALLS = Metric("mcs_media_calls", "gauge", "Calls of a Community in which at least two are connected.", _COMMUNITY)
_PARTICIPANTS = Metric(
    "mcs_media_participants", "gauge", "Users of a Community who are connected to a call.", _COMMUNITY
)
_TALK = Metric(
    "mcs_media_call_seconds_total",
    "counter",
    "Seconds that calls of a Community lasted with at least two connected, all calls together; kept over restarts.",
    _COMMUNITY,
)
_STORED = Metric(
    "mcs_media_stored_bytes",
    "gauge",
    "Bytes of a Community's messages (chat) or files that its portal keeps.",
    (*_COMMUNITY, "kind"),
)
_QUOTA = Metric(
    "mcs_media_quota_bytes",
    "gauge",
    "Bytes of messages (chat) or files that each Community may keep, as is in force.",
    (*_PLACE, "kind"),
)
_RETENTION = Metric(
    "mcs_media_retention_seconds",
    "gauge",
    "For how long messages (chat) or files are kept, as is in force.",
    (*_PLACE, "kind"),
)
_CALLS_REFUSED = Metric(
    "mcs_media_calls_refused_total",
    "counter",
    "Calls and invitations that portals refused, since the portal started: Draining; NoBandwidth, a video call while "
    "the line is full; NotAllowed by somebody's functions; TooMany; CommunityLimitExceeded, as many calls or "
    "participants as spec.communityLimits allows.",
    (*_PLACE, "cause"),
)

OF_SLOTS = (_UP, _FLAPS, _RECEIVED, _SENT, _RTT, _SINCE, _REFUSED, _NOISE, _DROPPED, _RUNNING, _QUARANTINED)
OF_MEDIA = (_MEDIA, _CONNECTIONS, _DRAINING, _LEFT)
OF_PORTALS = (_CALLS, _PARTICIPANTS, _TALK, _STORED, _QUOTA, _RETENTION, _CALLS_REFUSED)


def exposition(board: Board, namespace: str, instance: str) -> str:
    """All metrics as text."""
    place = (namespace, instance)
    told: dict[Metric, list[Sample]] = {metric: [] for metric in (*OF_SLOTS, *OF_MEDIA, *OF_PORTALS)}
    for number, link in sorted(board.links.items()):
        if not _is_free(link):
            for metric, value in _of_slot(link, board.counters[number]).items():
                if value is not None:
                    told[metric].append(((*place, link_name(number)), value))
    for metric, value in _of_media(board.media).items():
        told[metric].append((place, value))
    for number, left in sorted(((board.media and board.media.outOfService) or {}).items()):
        told[_LEFT].append(((*place, link_name(number)), left))
    for metric, labels, value in _of_portals(board.usage or Usage()):
        told[metric].append(((*place, *labels), value))
    return "".join(exposed(metric, samples) for metric, samples in told.items() if samples or metric in OF_SLOTS)


def _of_slot(link: Link, counters: Counters) -> dict[Metric, float | None]:
    """None: not known, and so not told."""
    return {
        _UP: link.session is not None,
        _FLAPS: link.flaps,
        _RECEIVED: counters.received,
        _SENT: counters.sent,
        _RTT: counters.rtt,
        _SINCE: link.session.since if link.session else None,
        _REFUSED: counters.refused,
        _NOISE: counters.noise,
        _DROPPED: link.slot.dropped,
        _RUNNING: link.slot.state is SlotState.RUNNING,
        _QUARANTINED: link.slot.state is SlotState.QUARANTINED,
    }


def _of_media(media: MediaState | None) -> dict[Metric, float]:
    if media is None:
        return {_MEDIA: 0}
    return {_MEDIA: 1, _CONNECTIONS: media.connections, _DRAINING: media.draining}


def _of_portals(usage: Usage) -> Iterator[tuple[Metric, tuple[str, ...], int]]:
    for community, used in usage.communities.items():
        for metric, name in ((_CALLS, "calls"), (_PARTICIPANTS, "participants"), (_TALK, "callSeconds")):
            if name in used:
                yield metric, (community,), used[name]
        yield from ((_STORED, (community, kind), used[name]) for kind, name in KINDS.items() if name in used)
    yield from ((_QUOTA, (kind,), usage.quota[name]) for kind, name in KINDS.items() if name in usage.quota)
    yield from ((_RETENTION, (kind,), usage.retention[name]) for kind, name in AGES.items() if name in usage.retention)
    yield from ((_CALLS_REFUSED, (cause,), count) for cause, count in usage.refused.items())


def _is_free(link: Link) -> bool:
    return link.slot.state is SlotState.IDLE and link.slot.revision is None and link.slot.error is None
