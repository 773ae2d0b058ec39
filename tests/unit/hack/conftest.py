"""The modules of `hack/cluster`, which is a command and no package of ours."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest

from support.api import ROOT


@pytest.fixture
def mcscluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Gives the module of this name."""
    monkeypatch.syspath_prepend(str(ROOT / "hack" / "cluster"))
    return lambda name: importlib.import_module(f"mcscluster.{name}")
