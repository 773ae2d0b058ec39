"""A ResourceQuota: the status that the API server goes by."""

from __future__ import annotations

from mcs_operator.api.quantity import parse_quantity
from mcs_operator.domain.rules.quota import LIMITS, Usage
from mcs_operator.kube.parse.bounds import LONGEST_DIGITS, mapping
from mcs_operator.kube.resources import Object


def usage_of(body: Object) -> Usage:
    """The counts of our kinds; what is no count is left out, and so counted anew by who needs it."""
    status = mapping(body.get("status"))
    return Usage(_counts(status.get("hard")), _counts(status.get("used")))


def _counts(listed: object) -> dict[str, int]:
    found = {key: _count(mapping(listed).get(key)) for key in LIMITS}
    return {key: number for key, number in found.items() if number is not None}


def _count(amount: object) -> int | None:
    if isinstance(amount, bool) or not isinstance(amount, str | int) or len(str(amount)[:100]) > LONGEST_DIGITS:
        return None
    try:
        number = parse_quantity(amount)
        return int(number) if number.adjusted() < LONGEST_DIGITS else None
    except (ValueError, ArithmeticError):
        return None
