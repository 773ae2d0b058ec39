"""A plugin of pytest that tells coverage which test runs, so that a line's tests are known.

`coverage run -m pytest -p mutants.reach` with tests/ in PYTHONPATH.
"""

from __future__ import annotations

from collections.abc import Iterator

import coverage
import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Everything from the set-up to the tear-down counts as the test's."""
    current = coverage.Coverage.current()
    if current is not None:
        current.switch_context(item.nodeid)
    yield
    if current is not None:
        current.switch_context("")
