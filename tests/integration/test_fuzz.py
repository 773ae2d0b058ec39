"""Whatever anybody writes, the API server answers and the operator goes on: no traceback, no endless line."""

from __future__ import annotations

import random
from typing import Any

import pytest

from support.api import Api, Object, Refused
from support.objects import a_community, a_link, an_instance
from support.operator import Operator

pytestmark = pytest.mark.integration

LONGEST_LINE = 4096
SEED = 250
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 251, 2**31, 2**63 - 1, 0.5, "", " ", "a", "A" * 300, "x" * 20_000, "../../etc/passwd",
    "{{ 7 * 7 }}", "$(reboot)", "\n\n", "ä🙂", "198.18.254.1", "198.18.254.300", "0.0.0.0/0", "250", [], [None], [[]],
    [1, "a"], {}, {"name": "mcs"}, {"name": None}, {"name": "acme", "x": {}}, [{"name": "a"}, {"name": "a"}],
]  # fmt: skip
"""What a person, a template or a script may put anywhere."""


def disturbed(chance: random.Random, value: Any) -> Any:
    """The same with something else in one place or more."""
    if chance.random() < 0.15:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        changed = {key: disturbed(chance, inner) for key, inner in value.items() if chance.random() > 0.05}
        if chance.random() < 0.1:
            changed[chance.choice(["enabled", "users", "usersFrom", "tls", "vpn", "nodeSelector", "strange"])] = (
                chance.choice(VALUES)
            )
        return changed
    return value


def crowd(chance: random.Random, count: int) -> list[Object]:
    bodies = []
    for number in range(count):
        body = chance.choice([an_instance(f"i{number}"), a_community(f"c{number}"), a_link(f"l{number}")])
        bodies.append(body | {"spec": disturbed(chance, body["spec"])})
    return bodies


def test_random_objects_are_answered_and_hurt_nobody(api: Api, operator: Operator) -> None:
    api.create(an_instance(), a_community(), a_link("acme"))
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    mark = operator.log.stat().st_size
    answers = {"stored": 0, "refused": 0}
    for body in crowd(random.Random(SEED), 400):  # noqa: S311 - the same crowd every time
        try:
            api.create(body)
            answers["stored"] += 1
        except Refused as refused:
            assert 400 <= refused.status < 500, f"{refused.status} {refused}: {str(body)[:500]}"
            answers["refused"] += 1
    assert min(answers.values()) > 20, answers
    api.change("TVoxLink", "acme", protocol="TCP")
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
    log = operator.since(mark)
    assert "Traceback" not in log
    assert max(map(len, log.splitlines()), default=0) < LONGEST_LINE
    assert operator.runs
