"""A running portal for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from unit.portal.running import House, running


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with running() as house:
        yield house
