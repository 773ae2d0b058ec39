"""What is known of the cluster is written in one room: everybody else hands it to the store, and reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import mcs_operator
from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.namespace import NamespaceCache

PACKAGE = Path(mcs_operator.__file__).parent
ROOM = PACKAGE / "kube" / "cache"
FIELDS = {field.name for kind in (Child, NamespaceCache) for field in fields(kind)}
CHANGES = {"pop", "popitem", "clear", "update", "setdefault"}


def written(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Attributes of something other than oneself that are set, or whose content is changed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            if isinstance(node.value, ast.Attribute):
                yield node.value
        elif isinstance(node, ast.Attribute) and node.attr in CHANGES and isinstance(node.value, ast.Attribute):
            yield node.value


def test_nobody_outside_the_room_writes_to_what_is_known() -> None:
    readers = (path for path in sorted(PACKAGE.rglob("*.py")) if ROOM not in path.parents)
    found = [
        f"{path.relative_to(PACKAGE)}:{at.lineno} {ast.unparse(at)}"
        for path in readers
        if "mcs_operator.kube.cache" in path.read_text()
        for at in written(ast.parse(path.read_text()))
        if at.attr in FIELDS and not (isinstance(at.value, ast.Name) and at.value.id == "self")
    ]
    assert found == []
