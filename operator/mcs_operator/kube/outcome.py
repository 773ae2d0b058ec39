"""What came of writing one object is noted: one that fails is told, and keeps no other from being written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.status.faults import told
from mcs_operator.kube.client import ApiError

log = logging.getLogger(__name__)


def note(outcome: Outcome, what: str, error: Exception, link: str | None = None) -> None:
    """That this object could not be written: its own matter, so that the rest can go on.

    Where no answer came nothing is known about the object, and nobody's status is turned over for it.
    """
    if isinstance(error, ApiError) and not error.status:
        outcome.waiting.append(f"{what}: {error.message}")
        return
    if not isinstance(error, ApiError):
        log.error("%s could not be written", what, exc_info=error)
    text = f"{error.reason or error.status}: {error.message}" if isinstance(error, ApiError) else told(error)
    if link:
        outcome.errors[link] = f"{what}: {text}"
    else:
        outcome.failures[what] = f"{what}: {text}"


@contextmanager
def guarding(outcome: Outcome, what: str) -> Iterator[None]:
    """What goes wrong within is noted, and no more."""
    try:
        yield
    except Exception as error:
        note(outcome, what, error)
