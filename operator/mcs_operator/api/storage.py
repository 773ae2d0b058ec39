"""The data volume of an instance."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcs_operator.api.base import Model, Rule
from mcs_operator.api.fields import Bytes
from mcs_operator.api.impact import Impact, impact

HOT = Impact.HOT


class Storage(Model):
    """The data volume, a PersistentVolumeClaim `<instance>-data`."""

    rules: ClassVar = (
        Rule(
            cel="!has(oldSelf.size) || (has(self.size) && (!isQuantity(self.size)"
            " || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0))",
            message="a volume never shrinks; set it back to the size before, or larger",
            message_cel="'a volume never shrinks: ' + (has(self.size) ? self.size : 'no size')"
            " + ' is less than ' + oldSelf.size + '; set it back, or larger'",
            field_path=".size",
        ),
    )

    class_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="StorageClass of the volume. Default: the cluster's default class. A volume "
        "does not move between classes.",
        json_schema_extra=impact(HOT, immutable="once set"),
    )
    size: Bytes | None = Field(
        default=None,
        description="Size of the volume, in bytes with a unit, for example 150G. Default: the tier's disk, 150 GB. "
        "May grow (the StorageClass has to allow expansion), never shrinks.",
        json_schema_extra=impact(HOT),
    )
