"""Which slots exit at once: the wire format of the link agent's ``POST /v1/exit-at-once``, and of the file behind it.

A pod that stops asks all of its slots to exit in one moment, so each waits for its turn. A slot whose container alone
is replaced, such as for another image, shall not wait. It cannot know which of both it is: the operator says so before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER

EXIT_FILE = "at-once"
"""In the stop volume, which the agent writes and the slots read."""
MAX_AT_ONCE = 16
"""Slots at a time. Were the pod stopped while this holds, so many would exit in one moment: far too few for a jam."""
MAX_SECONDS = 300.0


class ExitAtOnce(BaseModel):
    """Body of ``POST /v1/exit-at-once``: for so many seconds these slots exit as soon as they are asked to, and no
    others."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    slots: Annotated[tuple[Annotated[int, Field(ge=FIRST_NUMBER, le=LAST_NUMBER)], ...], Field(max_length=MAX_AT_ONCE)]
    seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)]


def exit_line(slots: Iterable[int], until: float) -> str:
    """What the supervisors read: until when, in seconds since the epoch, and the numbers of the slots."""
    return " ".join(map(str, (int(until), *slots))) + "\n"
