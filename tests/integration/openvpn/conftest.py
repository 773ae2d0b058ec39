"""Hosts for the tests of this folder; skipped with the reason where this machine cannot have any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.cluster import MissingError
from support.lab import Namespace, missing
from support.levels import left_out_if_missing


@pytest.fixture(scope="session", autouse=True)
def able() -> None:
    with left_out_if_missing():
        if reason := missing():
            raise MissingError(reason)


@pytest.fixture
def host(able: None) -> Iterator[Callable[[str], Namespace]]:
    """Makes hosts, and removes them after the test with all that runs on them."""
    with ExitStack() as closing:

        def make(purpose: str) -> Namespace:
            namespace = Namespace(purpose)
            closing.callback(namespace.close)
            return namespace

        yield make
