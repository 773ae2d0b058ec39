"""How large the media container is where it is not the tier's size, and what each Community may have of an instance."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcs_operator.api.base import Model, Rule
from mcs_operator.api.fields import Bytes, Cpu
from mcs_operator.api.quantity import parse_quantity
from mcs_operator.settings import MAX_LINKS


class ResourceAmounts(Model):
    """CPU and memory."""

    rules: ClassVar = (
        Rule(  # of an int-or-string the pattern holds for texts alone
            cel="!has(self.cpu) || type(self.cpu) == string || (self.cpu >= 1 && self.cpu <= 99999)",
            message='must be cores above 0, such as 4, "1.5" or 500m',
            field_path=".cpu",
            holds=lambda amounts: amounts.cpu is None or parse_quantity(amounts.cpu) > 0,
        ),
    )

    cpu: Cpu | None = Field(default=None, description='Cores, for example 4, "1.5" or 500m.')
    memory: Bytes | None = Field(default=None, description="Bytes with a unit, for example 8G or 512Mi.")

    def as_quantities(self) -> dict[str, str]:
        """What is set, as Kubernetes writes it: ``{"cpu": "500m", "memory": "1Gi"}``."""
        amounts = {"cpu": self.cpu, "memory": self.memory}
        return {name: amount for name, amount in amounts.items() if amount is not None}


def _no_more_than(resource: str, text: str) -> Rule:
    """Requests within limits. ``text`` is CEL that makes a text of {}: an int-or-string needs it, and for a text it
    would lose the length, without which the API server reckons the worst and refuses the rule."""
    requested, limit = text.format(f"self.requests.{resource}"), text.format(f"self.limits.{resource}")
    return Rule(
        cel=f"!has(self.requests) || !has(self.limits)"
        f" || !has(self.requests.{resource}) || !has(self.limits.{resource})"
        f" || !isQuantity({requested}) || !isQuantity({limit})"
        f" || quantity({requested}).compareTo(quantity({limit})) <= 0",
        message=f"must not be more than spec.resources.limits.{resource}",
        message_cel=f"{requested} + ' is more than spec.resources.limits.{resource}, ' + {limit}",
        field_path=f".requests.{resource}",
        holds=lambda resources: _is_within(resources.requests, resources.limits, resource),
    )


def _is_within(requests: ResourceAmounts | None, limits: ResourceAmounts | None, resource: str) -> bool:
    asked, most = (amounts.as_quantities().get(resource) if amounts else None for amounts in (requests, limits))
    return asked is None or most is None or parse_quantity(asked) <= parse_quantity(most)


class Resources(Model):
    """What the media container asks for and may use, instead of the tier's."""

    rules: ClassVar = (_no_more_than("cpu", "string({})"), _no_more_than("memory", "{}"))

    requests: ResourceAmounts | None = Field(default=None, description="What the node must have free for the media.")
    limits: ResourceAmounts | None = Field(default=None, description="What the media may use at most.")


class CommunityLimits(Model):
    """What each Community of the instance may have at most. Lowered, it takes nothing away from who is served."""

    users: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Enabled users of a Community, inline and from files. Beyond it they are not served; the "
        "Community says so. Default: no limit but the tier.",
    )
    links: int | None = Field(
        default=None,
        ge=1,
        le=MAX_LINKS,
        description="TVoxLinks that name a Community. One more is not accepted. Default: no limit but the instance's.",
    )
    calls: int | None = Field(
        default=None,
        ge=1,
        le=500,
        description="Calls of a Community at the same time, ringing ones included. One more is refused, in words on "
        "the page. Default: 500.",
    )
    participants: int | None = Field(
        default=None,
        ge=2,
        le=10000,
        description="People of a Community who are in calls at the same time, or are rung. One more is refused, in "
        "words on the page; who is in a call stays. Default: no limit.",
    )

    def as_numbers(self) -> dict[str, int]:
        """What the appliance enforces, as far as it is declared: who upgrades the operator writes no new file."""
        found = {"calls": self.calls, "participants": self.participants}
        return {name: number for name, number in found.items() if number is not None}
