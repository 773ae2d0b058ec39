"""Lines of the table of conditions, and those that several kinds have in common."""

from __future__ import annotations

from dataclasses import dataclass

from mcs_operator.api.conditions.reasons import ConditionStatus, Kind, Reason, Type


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    kind: Kind
    type: Type
    status: ConditionStatus
    reason: Reason
    trigger: str


def rows(kind: Kind, type: Type, *lines: tuple[ConditionStatus, Reason, str]) -> list[Row]:
    """Lines of one condition of one kind."""
    return [Row(kind, type, status, reason, trigger) for status, reason, trigger in lines]


T, F, U = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
R = Reason


def domain_resolved(kind: Kind, wanted: str) -> list[Row]:
    """Whether the public name leads to the instance; ``wanted``: what both should be told for it."""
    return rows(
        kind,
        Type.DOMAIN_RESOLVED,
        (T, R.RESOLVED, f"Both the media pod and the operator are told {wanted} by their DNS, and no other address."),
        (F, R.NOT_RESOLVED, "One of them, at least, is told that there is no such name, or no IPv4 address of it."),
        (F, R.WRONG_ADDRESS, "One of them, at least, is told another address."),
        (U, R.PENDING, "Not asked yet."),
        (U, R.RESOLVER_UNAVAILABLE, "The DNS of one of them does not answer, three times in a row."),
        (U, R.AGENT_OUTDATED, "The link agent in the media pod is too old to be asked."),
        (U, R.AGENT_UNREACHABLE, "The link agent in the media pod does not answer."),
        (U, R.NOT_ACCEPTED, "Accepted is False: nobody asks."),
    )


def certificate_ready(kind: Kind, *more: tuple[ConditionStatus, Reason, str]) -> list[Row]:
    """Whether the public name has a certificate."""
    return rows(
        kind,
        Type.CERTIFICATE_READY,
        (T, R.PROVIDED, "A certificate that somebody brought covers the name: its own, or the instance's."),
        (
            T,
            R.ISSUED,
            "The one that was ordered by spec.tls.acme of the instance is served; the message has its dates.",
        ),
        (T, R.RENEWAL_FAILED, "As OrderFailed; the certificate of before is served until it ends."),
        (F, R.PENDING, "An order is under way, or waits for its turn, or for what the message says."),
        (F, R.ORDER_FAILED, "The last orders failed; the message has the server's words, and when the next is due."),
        (F, R.NOT_RESOLVED, "DomainResolved is not True: an order would fail, and none is begun."),
        (F, R.CERTIFICATE_INVALID, "As Stalled."),
        (F, R.CERTIFICATE_NOT_FOUND, "As Stalled; or the instance's certificate does not cover the name."),
        (U, R.NOT_CONFIGURED, "Neither a Secret nor an ACME server is named: plain HTTP only."),
        (U, R.NOT_SUPPORTED, "The media image, or the pod's agent, answers no challenge. Nothing waits for it."),
        (U, R.AGENT_UNREACHABLE, "The link agent in the media pod does not answer: no order is begun."),
        (U, R.NOT_ACCEPTED, "Accepted is False."),
        *more,
    )


def in_service(kind: Kind, but: str) -> list[Row]:
    """Whether new sessions are taken; ``but``: for whose sake they may be refused all the same."""
    return rows(
        kind,
        Type.IN_SERVICE,
        (T, R.IN_SERVICE, f"New sessions are not refused{but}."),
        (T, R.PENDING, "OutOfService is declared, and the appliance still takes new sessions."),
        (F, R.DRAINING, "New sessions are refused; open ones go on, and drainSeconds are not over."),
        (F, R.OUT_OF_SERVICE, "New sessions are refused; none is open, or drainSeconds are over: see the message."),
        (U, R.AGENT_UNREACHABLE, "OutOfService is declared, and the link agent in the media pod does not answer."),
        (U, R.MEDIA_NOT_READY, "OutOfService is declared, and the appliance does not answer the link agent."),
        (U, R.NOT_ACCEPTED, "Accepted is False."),
    )
