"""Pure work that would keep the event loop for longer than anybody may wait: in one thread beside it.

One thread, because each more keeps the loop waiting for the interpreter, which changes hands every 5 ms. A parser in C
that holds it for longer is none of this module's business: what is given to it is bounded before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="beside")


async def beside(is_long: bool, work: Callable[P, T], /, *args: P.args, **more: P.kwargs) -> T:
    """What ``work`` returns; at once where it is not long."""
    if not is_long:
        return work(*args, **more)
    return await asyncio.wrap_future(_THREAD.submit(work, *args, **more))
