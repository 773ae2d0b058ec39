"""Why something is not as declared, for a program and for a person."""

from __future__ import annotations

from dataclasses import dataclass

from mcs_operator.api.conditions import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """A reason of the conditions table, and a message with field, value and remedy."""

    reason: Reason
    message: str
