"""What each object is told: the words, the closed table of what they may say, and the objects that are written."""

from mcs_operator.api.conditions.objects import (
    MESSAGE_LIMIT,
    NOT_SERVED,
    Condition,
    as_decided,
    as_objects,
    find_condition,
    is_known,
)
from mcs_operator.api.conditions.reasons import ConditionStatus, Kind, Reason, Type
from mcs_operator.api.conditions.rows import Row
from mcs_operator.api.conditions.table import OWNED, REFUSALS, TABLE, WAITING

__all__ = [
    "MESSAGE_LIMIT",
    "NOT_SERVED",
    "OWNED",
    "REFUSALS",
    "TABLE",
    "WAITING",
    "Condition",
    "ConditionStatus",
    "Kind",
    "Reason",
    "Row",
    "Type",
    "as_decided",
    "as_objects",
    "find_condition",
    "is_known",
]
