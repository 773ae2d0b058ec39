"""Taints of a node that the media pod tolerates, as in a pod's spec."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from mcs_operator.api.base import Model, Rule


class TolerationOperator(StrEnum):
    """How a toleration matches a taint's value."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """A toleration as in a pod's spec."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value)",
            message="operator Exists matches any value; remove value",
            field_path=".value",
            holds=lambda t: t.operator is not TolerationOperator.EXISTS or t.value is None,
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="without a key (any taint), operator must be Exists",
            field_path=".operator",
            holds=lambda t: t.key is not None or t.operator is TolerationOperator.EXISTS,
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            message="tolerationSeconds needs effect NoExecute",
            field_path=".tolerationSeconds",
            holds=lambda t: t.toleration_seconds is None or t.effect is TaintEffect.NO_EXECUTE,
        ),
    )

    key: str | None = Field(
        default=None, min_length=1, max_length=317, description="Key of the taint. Without it: any taint."
    )
    operator: TolerationOperator | None = Field(
        default=None, description="Exists: the key is enough. Equal (as when unset): the value must match too."
    )
    value: str | None = Field(default=None, max_length=63, description="Value of the taint.")
    effect: TaintEffect | None = Field(default=None, description="Effect of the taint. Without it: any effect.")
    toleration_seconds: int | None = Field(
        default=None,
        ge=0,
        description="How long the pod may stay on a node with a NoExecute taint, in seconds. Without it: for ever.",
    )
