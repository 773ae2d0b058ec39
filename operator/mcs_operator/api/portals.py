"""spec.portals: what the portals of all Communities keep, for how long and how much."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcs_operator.api.base import Model, Rule
from mcs_operator.api.fields import DURATION_PATTERN, Bytes, Duration, bytes_of, seconds

SHORTEST, LONGEST = "1h", "87600h"
"""Ten years: what is kept longer is an archive, and no portal."""
CHAT, FILES = "720h", "168h"
"""What the appliance keeps where nothing is declared."""
LEAST, MOST = "1Mi", "1Ti"


def _within_bounds(name: str) -> Rule:
    """A duration that somebody can have meant: 0s would erase each message at once."""
    return Rule(
        cel=f"!has(self.{name}) || !self.{name}.matches(r'{DURATION_PATTERN}')"
        f" || (duration(self.{name}) >= duration('{SHORTEST}')"
        f" && duration(self.{name}) <= duration('{LONGEST}'))",
        message=f"must be from {SHORTEST} to {LONGEST}, which is ten years; 720h are 30 days",
        field_path=f".{name}",
        holds=lambda kept: (
            (text := getattr(kept, name)) is None or seconds(SHORTEST) <= seconds(text) <= seconds(LONGEST)
        ),
    )


class PortalRetention(Model):
    """How long the portals keep what users leave there."""

    rules: ClassVar = (_within_bounds("chat"), _within_bounds("files"))

    chat: Duration | None = Field(
        default=None,
        description="Messages, calls and missed calls, 1h to 87600h. A shorter time erases at once what is older, and "
        "nothing brings it back. Default: 720h, 30 days.",
    )
    files: Duration | None = Field(
        default=None,
        description="Files that users send to each other, 1h to 87600h. A shorter time erases at once what is older, "
        "and nothing brings it back. Default: 168h, 7 days.",
    )

    def in_force(self) -> dict[str, str]:
        """What is declared, or else the appliance's default."""
        return {"chat": self.chat or CHAT, "files": self.files or FILES}


class Portals(Model):
    """The data of all portals of the instance. Users who are in no set any more lose theirs 30 days later."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.quota) || !isQuantity(self.quota)"
            f" || (quantity(self.quota).compareTo(quantity('{LEAST}')) >= 0"
            f" && quantity(self.quota).compareTo(quantity('{MOST}')) <= 0)",
            message=f"must be from {LEAST} to {MOST}",
            field_path=".quota",
            holds=lambda portals: portals.quota is None or bytes_of(LEAST) <= bytes_of(portals.quota) <= bytes_of(MOST),
        ),
    )

    retention: PortalRetention = Field(default=PortalRetention(), description="How long messages and files are kept.")
    quota: Bytes | None = Field(
        default=None,
        description="Bytes of files that are kept of each Community, 1Mi to 1Ti; its messages may take a quarter as "
        "much beside them. Beyond it an upload or a message is refused, and nothing is erased for it. Default: 1Gi.",
    )

    def as_numbers(self) -> dict[str, int]:
        """What is declared, as the appliance gets it. What is not declared is left out: the appliance has its defaults,
        and whoever upgrades the operator writes no new file."""
        chat, files, quota = self.retention.chat, self.retention.files, self.quota
        found = {
            "chatSeconds": seconds(chat) if chat else None,
            "fileSeconds": seconds(files) if files else None,
            "quotaBytes": bytes_of(quota) if quota else None,
        }
        return {name: number for name, number in found.items() if number is not None}
