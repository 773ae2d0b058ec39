"""In which order the modules go to the workers of `make integration`."""

from __future__ import annotations

import pytest

LONGEST = (
    "test_documentation",
    "test_full_namespace",
    "test_identity",
    "test_webhook",
    "test_storage_and_network",
    "test_plugin_access",
    "test_quiet",
    "test_repair",
    "test_reconcile",
    "test_quota",
    "test_leader",
    "test_users",
    "test_plan_is_true",
    "test_unconfirmed",
    "test_keys",
    "test_cli",
    "test_faults",
    "test_customers",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest ones first: a module stays with one worker, and at the end the others would wait for its."""
    place = {module: number for number, module in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))
