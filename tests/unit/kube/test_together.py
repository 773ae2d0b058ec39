"""Parallel work that ends together: nobody is left behind, no failure is lost, and no group of errors escapes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcs_operator.kube.client import ApiError
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.together import together


async def after(seconds: float, result: Any, done: list[Any]) -> Any:
    """Wait, then do; or fail with an exception."""
    await asyncio.sleep(seconds)
    if isinstance(result, Exception):
        raise result
    done.append(result)
    return result


async def test_results_come_in_the_order_of_the_work() -> None:
    done: list[int] = []
    assert await together(*(after(0.01 * (3 - n), n, done) for n in range(3))) == [0, 1, 2]
    assert await together() == []


async def test_when_one_fails_the_others_end_before_it_is_told() -> None:
    done: list[int] = []
    with pytest.raises(KeyError):
        await together(after(0.01, KeyError("x"), done), *(after(0.05, n, done) for n in range(19)))
    await asyncio.sleep(0.1)
    assert done == []


async def test_who_is_cancelled_leaves_nobody_at_work() -> None:
    done: list[int] = []
    work = asyncio.create_task(together(*(after(0.05, n, done) for n in range(20))))
    await asyncio.sleep(0.01)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await asyncio.sleep(0.1)
    assert done == []


@pytest.mark.parametrize("first", [0, 1])
async def test_of_several_errors_a_defect_is_told_and_the_others_are_noted(first: int) -> None:
    errors = [NoAnswerError(TimeoutError()), RuntimeError("a defect")]

    async def fails(error: Exception) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise error from None

    async def begins() -> None:
        raise errors[first]

    with pytest.raises(RuntimeError, match="a defect") as told:
        await together(fails(errors[1 - first]), begins())
    assert ["NoAnswerError" in note for note in told.value.__notes__] == [True]


async def test_a_transport_error_comes_out_as_itself_from_any_depth() -> None:
    async def inner() -> None:
        await together(after(0, ApiError(500, "InternalError", "etcd"), []), after(1, 1, []))

    with pytest.raises(ApiError, match="etcd"):
        await together(inner(), after(1, 2, []))
