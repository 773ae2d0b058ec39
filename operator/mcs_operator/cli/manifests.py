"""Manifests as text, for people, Git and `kubectl apply`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from mcs_operator.kube.resources import Object

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._/@+-]*")
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What kubectl reads as something else than text; PyYAML writes some of them without quotes."""
_NEVER = 2**31
"""Columns after which a line is folded."""


class _Dumper(yaml.SafeDumper):
    """Texts stand in quotes unless nobody could read them as a number, a moment or a truth value: 1e3, n."""

    def ignore_aliases(self, data: object) -> bool:
        """No anchors: objects are read one by one."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    plain = _WORD.fullmatch(value) and value.lower() not in _NO_TEXT
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def as_yaml(bodies: Iterable[Object]) -> str:
    """Documents that kubectl reads as they are."""
    return yaml.dump_all(
        bodies, Dumper=_Dumper, sort_keys=False, explicit_start=True, allow_unicode=True, width=_NEVER
    ).removeprefix("---\n")
