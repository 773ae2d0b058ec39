"""When a live object fulfils a manifest: a needless difference is a needless write, a missed one is drift."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mcs_operator.domain.decide import decide
from mcs_operator.kube.diff import differences
from mcs_operator.render.render import render
from mcs_operator.settings import Settings
from support.worlds import community, given, instance, keys_for, link

MOUNTS = [{"name": "data", "mountPath": "/data"}, {"name": "scratch", "mountPath": "/run", "subPath": "run"}]
TWICE = [*MOUNTS, {"name": "scratch", "mountPath": "/tmp", "subPath": "tmp"}]


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, id="a field that the API server has defaulted"),
        pytest.param({"a": {}}, {}, id="an empty map that the API server has left out"),
        pytest.param({"a": []}, {"a": None}, id="an empty list that the API server has left out"),
        pytest.param({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, id="a quantity in another spelling"),
        pytest.param({"requests": {"memory": "8000000000"}}, {"requests": {"memory": "8G"}}, id="bytes, canonical"),
        pytest.param({"capacity": {"storage": "1Gi"}}, {"capacity": {"storage": "1024Mi"}}, id="the size of a volume"),
        pytest.param(
            {"r": {"limits": {"cpu": "1000m"}}}, {"r": {"limits": {"cpu": "1"}}}, id="a quantity further down"
        ),
        pytest.param({"limits": {"cpu": "?"}}, {"limits": {"cpu": "?"}}, id="what is no quantity, and the same"),
        pytest.param({"requests": {"storage": "1Gi"}}, {"requests": {"storage": "1024Mi"}}, id="storage"),
        pytest.param(
            {"containers": [{"name": "a", "image": "x"}]},
            {"containers": [{"name": "injected"}, {"name": "a", "image": "x", "tty": False}]},
            id="a sidecar that somebody injected",
        ),
        pytest.param({"volumeMounts": TWICE}, {"volumeMounts": copy.deepcopy(TWICE)}, id="a volume mounted twice"),
        pytest.param(
            {"volumeMounts": TWICE},
            {"volumeMounts": [*TWICE, {"name": "injected", "mountPath": "/i"}]},
            id="a volume mounted twice, and one that somebody injected",
        ),
        pytest.param({"args": ["a"]}, {"args": ["a"]}, id="a list of texts"),
        pytest.param({"m": {"labels": {"a": "b"}}}, {"m": {"labels": {"a": "b", "x": "y"}}}, id="a foreign label"),
    ],
)
def test_no_difference(desired: Any, live: Any) -> None:
    assert differences(desired, live) == []


@pytest.mark.parametrize(
    ("desired", "live", "where"),
    [
        pytest.param({"replicas": 1}, {"replicas": 3}, "replicas", id="another number"),
        pytest.param({"a": {"b": 1}}, {"a": {}}, "a.b", id="a missing field"),
        pytest.param({"a": {"b": 1}}, {"a": None}, "a", id="a missing map"),
        pytest.param({"a": False}, {}, "a", id="false is not nothing"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": "2"}}, "limits.cpu", id="another quantity"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {}}, "limits.cpu", id="a missing quantity"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": "?"}}, "limits.cpu", id="a broken quantity"),
        pytest.param(
            {"c": [{"name": "a", "image": "x"}]},
            {"c": [{"name": "a", "image": "y"}]},
            "c[a].image",
            id="another image of the container of that name",
        ),
        pytest.param({"c": [{"name": "a"}]}, {"c": [{"name": "b"}]}, "c[a]", id="a missing container"),
        pytest.param({"c": [{"name": "a"}]}, {"c": None}, "c", id="no list at all"),
        pytest.param({"args": ["a", "b"]}, {"args": ["b", "a"]}, "args[0], args[1]", id="another order of texts"),
        pytest.param({"args": ["a", "b"]}, {"args": ["a"]}, "args", id="a shorter list"),
        pytest.param(
            {"volumeMounts": TWICE},
            {"volumeMounts": MOUNTS},
            "volumeMounts[scratch].mountPath, volumeMounts[scratch].subPath",
            id="one mount of two",
        ),
        pytest.param(
            {"volumeMounts": TWICE},
            {"volumeMounts": [*MOUNTS, TWICE[2] | {"mountPath": "/other"}]},
            "volumeMounts[scratch].mountPath",
            id="another path of one mount of two",
        ),
        pytest.param(
            {"volumeMounts": TWICE},
            {"volumeMounts": [*MOUNTS, TWICE[2] | {"subPath": "other"}]},
            "volumeMounts[scratch].subPath",
            id="what differs least is named, of two of one name",
        ),
        pytest.param(
            {"selector": {"matchLabels": {"a": "b"}}},
            {"selector": {"matchLabels": {"a": "b", "c": "d"}}},
            "selector.matchLabels",
            id="a label beside those that select, which selects nothing then",
        ),
    ],
)
def test_a_difference_is_named(desired: Any, live: Any, where: str) -> None:
    found = differences(desired, live)
    assert found == where.split(", ")


@pytest.mark.parametrize("mode", ["HostPort", "HostNetwork", "LoadBalancer"])
def test_every_manifest_fulfils_itself(mode: str) -> None:
    """What was just written must never look as if it had to be written again."""
    world = given(instance(network={"mode": mode}), community(users=("a", "b")), [link("x"), link("y")])
    plan = decide(world)
    for manifest in render(world, plan, keys_for(plan), Settings()).manifests:
        assert differences(manifest.body, copy.deepcopy(manifest.body)) == [], manifest.name


def test_every_changed_text_or_number_of_a_manifest_is_noticed() -> None:
    world = given(instance(vpn={"slots": 2}), community(users=("a",)), link("x"))
    plan = decide(world)
    for manifest in render(world, plan, keys_for(plan), Settings()).manifests:
        for path in _leaves(manifest.body):
            changed = copy.deepcopy(manifest.body)
            _spoil(changed, path)
            assert differences(manifest.body, changed), (manifest.name, path)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, below in value.items() for leaf in _leaves(below, (*path, key))]
    if isinstance(value, list):
        return [leaf for at, below in enumerate(value) for leaf in _leaves(below, (*path, at))]
    return [path]


def _spoil(value: Any, path: tuple[Any, ...]) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = "spoiled"
