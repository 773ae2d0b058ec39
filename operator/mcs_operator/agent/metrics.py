"""The agent's metrics: one series per slot and metric, so at most 250 each.

Nothing a customer or a stranger can choose becomes a label; a slot's number is the only one that varies. Which customer
that is, `mcs_link_info` of the operator says.
"""

from __future__ import annotations

from mcs_operator.agent.board import Board, Counters
from mcs_operator.agent.tunnel import Link
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

OF_SLOTS = (_UP, _FLAPS, _RECEIVED, _SENT, _RTT, _SINCE, _REFUSED, _NOISE, _RUNNING, _QUARANTINED)
OF_MEDIA = (_MEDIA, _CONNECTIONS, _DRAINING, _LEFT)


def exposition(board: Board, namespace: str, instance: str) -> str:
    """All metrics as text."""
    place = (namespace, instance)
    told: dict[Metric, list[Sample]] = {metric: [] for metric in (*OF_SLOTS, *OF_MEDIA)}
    for number, link in sorted(board.links.items()):
        if not _is_free(link):
            for metric, value in _of_slot(link, board.counters[number]).items():
                if value is not None:
                    told[metric].append(((*place, link_name(number)), value))
    for metric, value in _of_media(board.media).items():
        told[metric].append((place, value))
    for number, left in sorted(((board.media and board.media.outOfService) or {}).items()):
        told[_LEFT].append(((*place, link_name(number)), left))
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
        _RUNNING: link.slot.state is SlotState.RUNNING,
        _QUARANTINED: link.slot.state is SlotState.QUARANTINED,
    }


def _of_media(media: MediaState | None) -> dict[Metric, float]:
    if media is None:
        return {_MEDIA: 0}
    return {_MEDIA: 1, _CONNECTIONS: media.connections, _DRAINING: media.draining}


def _is_free(link: Link) -> bool:
    return link.slot.state is SlotState.IDLE and link.slot.revision is None and link.slot.error is None
