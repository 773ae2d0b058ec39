"""Parallel work that ends together: whoever is cancelled, or fails, leaves nobody behind that goes on writing.

`asyncio.gather` lets the others run when one fails or its caller is cancelled: of twenty writes, nineteen came after
the Lease was lost. A task group waits for all of them, and what it raises is unpacked here, so that callers handle
one error as they would without any parallelism.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

from mcs_operator.kube.client import ApiError

T = TypeVar("T")


async def together(*work: Coroutine[Any, Any, T]) -> list[T]:
    """The results, in order. Where one fails, the others are cancelled and waited for, and its error is raised.

    Of several errors a defect comes before what the API server said; the others are noted on it.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        raise _first_of(failed) from None
    return [task.result() for task in tasks]


def _first_of(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that matters most, with the others as notes: none of them is lost."""
    errors = sorted(_single(failed), key=lambda error: isinstance(error, ApiError))
    for other in errors[1:]:
        errors[0].add_note(f"and beside it: {type(other).__name__}: {other}")
    return errors[0]


def _single(failed: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in failed.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(error)
        else:
            yield error
