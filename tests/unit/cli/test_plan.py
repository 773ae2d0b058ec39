"""What applying files would do, and to whom: each object in its own namespace, whatever is in it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mcs_operator.api import Impact
from mcs_operator.cli.access import Cluster
from mcs_operator.cli.effects import Effect, exit_code, summary
from mcs_operator.cli.files import Document
from mcs_operator.cli.plan import effects_of, plan_of
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import Object, Resource
from support.objects import a_community, a_link, an_instance


class FakeApi:
    """Objects by namespace and kind, and what a dry run says."""

    def __init__(self, bodies: list[Object], refusal: ApiError | None = None) -> None:
        self.bodies = [copy.deepcopy(body) for body in bodies]
        for body in self.bodies:
            body["metadata"] |= {"uid": "u", "generation": 1, "resourceVersion": "1"}
        self.refusal = refusal
        self.listed: list[str] = []
        self.resources = {"pods", "pods/resize"}
        self.discovered = 0
        self.release = (1, 34)

    async def served(self, _: str) -> set[str]:
        self.discovered += 1
        return self.resources

    async def version(self) -> tuple[int, int]:
        return self.release

    async def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        found = [b for b in self.bodies if b["kind"] == resource.kind and b["metadata"]["namespace"] == namespace]
        return next((b for b in found if b["metadata"]["name"] == name), None)

    async def list(self, resource: Resource, *, namespace: str) -> tuple[list[Object], str]:
        self.listed.append(namespace)
        return [b for b in self.bodies if b["kind"] == resource.kind and b["metadata"]["namespace"] == namespace], "1"

    async def try_deletion(self, resource: Resource, namespace: str, name: str) -> None:
        if self.refusal:
            raise self.refusal

    async def apply(self, resource: Resource, body: Object, *, dry_run: bool = False) -> Object:
        assert dry_run
        assert "status" not in body
        if self.refusal:
            raise self.refusal
        return {"metadata": body["metadata"] | {"uid": "u"}}


def at(namespace: str, body: Object, slot: int = 0) -> Object:
    status = {"status": {"slot": slot}} if slot else {}
    return body | {"metadata": body["metadata"] | {"namespace": namespace}} | status


async def plan(api: FakeApi, *bodies: Any, chosen: bool = False) -> list[Effect]:
    cluster = Cluster(api, "ns-a", chosen)  # type: ignore[arg-type]
    return await effects_of(cluster, [Document("f", body) for body in bodies])


NEWER = {"network": {"mediaPort": 10002}}
BOTH = [
    at("ns-a", an_instance()),
    at("ns-b", an_instance()),
    at("ns-a", a_link("acme-of-a"), 2),
    at("ns-b", a_link("bolt-of-b"), 2),
    at("ns-b", a_link("cara-of-b"), 3),
    at("ns-b", a_link("not-served")),
    at("ns-b", a_link("of-another", instance="other"), 4),
    at("ns-b", a_link("switched-off", enabled=False), 5),
]


async def test_a_restart_names_the_customers_of_the_objects_own_namespace() -> None:
    api = FakeApi(BOTH)
    (effect,) = await plan(api, at("ns-b", an_instance(**NEWER)))
    assert effect.impact is Impact.RESTART
    assert effect.customers == ("bolt-of-b", "cara-of-b")
    assert api.listed == ["ns-b"]


@pytest.mark.parametrize(("served", "impact"), [({"pods", "pods/resize"}, Impact.IN_PLACE), ({"pods"}, Impact.RESTART)])
async def test_the_cluster_is_asked_whether_it_can_change_a_size_in_place(served: set[str], impact: Impact) -> None:
    api = FakeApi(BOTH)
    api.resources = served
    (effect,) = await plan(api, at("ns-b", an_instance(tier="UpTo10000", resources=None)))
    assert (effect.impact, api.discovered) == (impact, 1)
    await plan(api, at("ns-b", an_instance(**NEWER)))
    assert api.discovered == 1, "where no size changes nobody asks"


@pytest.mark.parametrize(("release", "impact"), [((1, 33), Impact.RESTART), ((1, 34), Impact.IN_PLACE)])
async def test_less_memory_restarts_the_pod_of_a_cluster_that_cannot_take_it_away(
    release: tuple[int, int], impact: Impact
) -> None:
    api = FakeApi(BOTH)
    api.release = release
    less = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
    (effect,) = await plan(api, at("ns-b", an_instance(resources=less)))
    assert (effect.impact, len(effect.customers)) == (impact, 2 if impact is Impact.RESTART else 0)


@pytest.mark.parametrize(
    ("status", "impact"),
    [({}, Impact.HOT), ({"podUID": "u"}, Impact.RESTART)],
    ids=["the pod is gone", "it drains, or waits for its hour"],
)
async def test_the_status_tells_whether_a_suspended_instance_serves_yet(status: Any, impact: Impact) -> None:
    live = at("ns-a", an_instance(suspend=True)) | {"status": status}
    (effect,) = await plan(FakeApi([live, at("ns-a", a_link("acme"), 2)]), an_instance(**NEWER))
    assert (effect.impact, effect.customers) == (impact, ("acme",) if impact is Impact.RESTART else ())


async def test_without_a_namespace_it_is_the_one_of_the_context() -> None:
    (effect,) = await plan(FakeApi(BOTH), an_instance(**NEWER))
    assert effect.customers == ("acme-of-a",)


async def test_two_namespaces_in_one_file_are_told_apart() -> None:
    effects = await plan(FakeApi(BOTH), at("ns-a", an_instance(**NEWER)), at("ns-b", an_instance(**NEWER)))
    assert [effect.customers for effect in effects] == [("acme-of-a",), ("bolt-of-b", "cara-of-b")]


async def test_a_namespace_that_contradicts_the_command_line_is_refused_as_by_kubectl() -> None:
    (effect,) = await plan(FakeApi(BOTH), at("ns-b", an_instance(**NEWER)), chosen=True)
    assert "metadata.namespace: ns-b: the command line says --namespace=ns-a" in effect.refused
    (effect,) = await plan(FakeApi(BOTH), at("ns-a", an_instance(**NEWER)), chosen=True)
    assert effect.refused == ""


async def test_links_are_asked_for_only_where_an_instance_changes() -> None:
    api = FakeApi(BOTH)
    effects = await plan(api, a_link("acme-of-a", domain="new.mcs.test"), a_community(), a_link("new"))
    assert [(e.action, e.impact) for e in effects] == [
        ("changed", Impact.HOT),
        ("created", Impact.HOT),
        ("created", Impact.HOT),
    ]
    assert api.listed == []


async def test_a_link_that_changes_interrupts_itself_alone() -> None:
    (effect,) = await plan(FakeApi(BOTH), at("ns-b", a_link("bolt-of-b", protocol="TCP")) | {"status": {"slot": 9}})
    assert (effect.impact, effect.customers) == (Impact.NEW_PROFILE, ("bolt-of-b",))
    assert effect.words.endswith("kubectl mcs profile -n ns-b bolt-of-b")


async def test_the_status_tells_whom_a_change_of_sources_shuts_out() -> None:
    live = at("ns-a", a_link("acme")) | {"status": {"slot": 2, "tunnel": {"peer": "203.0.113.9:40000"}}}
    effects = await plan(
        FakeApi([live]),
        a_link("acme", allowedSources=["203.0.113.0/24"]),
        a_link("acme", allowedSources=["198.51.100.0/24"]),
    )
    assert [effect.cut_off != "" for effect in effects] == [False, True]
    assert "203.0.113.9" in effects[1].cut_off


async def test_what_the_api_server_refuses_is_told_in_its_words() -> None:
    effects = await plan(
        FakeApi(BOTH, ApiError(422, "Invalid", "spec.domain: taken")), a_link("acme-of-a"), a_link("new")
    )
    assert [(e.action, e.refused) for e in effects] == [
        ("changed", "spec.domain: taken"),
        ("created", "spec.domain: taken"),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "apiVersion: must be mcs.tvox.io/v1alpha1"),
        (
            {"apiVersion": "mcs.tvox.io/v2", "kind": "TVoxLink"},
            "apiVersion: 'mcs.tvox.io/v2': must be mcs.tvox.io/v1alpha1",
        ),
        (
            {"apiVersion": "mcs.tvox.io/v1alpha1", "kind": "Link"},
            "kind: 'Link': choose MCSInstance, Community or TVoxLink",
        ),
        ({"apiVersion": "mcs.tvox.io/v1alpha1", "kind": 5}, "kind: 5: choose"),
        ({"apiVersion": "mcs.tvox.io/v1alpha1", "kind": "TVoxLink"}, "metadata.name: is missing; spec: is missing"),
        (a_link("a") | {"metadata": "x"}, "metadata: 'x': must be an object"),
        (a_link("a") | {"metadata": {"name": 5}}, "metadata.name: 5: must be a text"),
        (a_link("a") | {"metadata": {"name": "a", "namespace": 5}}, "metadata.namespace: 5: must be a text"),
        (a_link("a") | {"spec": None}, "spec: is missing"),
        (a_link("a") | {"spec": "x"}, "spec: 'x': must be an object"),
    ],
)
async def test_what_cannot_be_asked_about_is_refused_in_words(body: Any, said: str) -> None:
    (effect,) = await plan(FakeApi([]), body)
    assert said in effect.refused
    assert effect.impact is None


async def test_what_the_server_takes_and_the_models_do_not_is_refused_too() -> None:
    (effect,) = await plan(FakeApi([]), a_link("a", domain="X"))
    assert "spec.domain: 'X'" in effect.refused


async def test_a_link_that_is_switched_off_cannot_be_interrupted() -> None:
    api = FakeApi(BOTH)
    changed = at("ns-b", a_link("switched-off", enabled=False, allowedSources=["203.0.113.0/24"]))
    on, off = at("ns-b", a_link("switched-off")), at("ns-b", a_link("bolt-of-b", enabled=False))
    effects = await plan(api, changed, on, off)
    assert [(e.impact, e.customers) for e in effects] == [
        (Impact.HOT, ()),
        (Impact.HOT, ()),
        (Impact.THIS_LINK, ("bolt-of-b",)),
    ]


async def together(api: FakeApi, *bodies: Any, prune: bool = False) -> dict[str, Effect]:
    cluster = Cluster(api, "ns-a")  # type: ignore[arg-type]
    effects = await plan_of(cluster, [Document("f", body) for body in bodies], prune)
    return {f"{one.kind}/{one.name}": one for one in effects}


HOME = [at("ns-a", an_instance()), at("ns-a", a_community()), at("ns-a", a_link("acme"), 2)]


async def test_of_two_new_links_with_one_domain_one_is_refused() -> None:
    found = await together(FakeApi(HOME), a_link("bolt", domain="x.mcs.test"), a_link("cara", domain="x.mcs.test"))
    assert not found["TVoxLink/bolt"].refused
    assert found["TVoxLink/cara"].refused.startswith("spec.domain: x.mcs.test is in use")
    assert exit_code(found.values()) == 1


async def test_a_new_link_does_not_get_what_another_one_has() -> None:
    there = a_link("acme") | {"status": {"slot": 2, "vpnAddress": "198.18.254.2"}}
    found = await together(
        FakeApi([*HOME[:2], at("ns-a", there)]),
        a_link("aa", domain="acme.mcs.test"),
        a_link("a", vpnAddress="198.18.254.2"),
    )
    assert found["TVoxLink/aa"].refused.startswith("spec.domain: acme.mcs.test is in use")
    assert found["TVoxLink/a"].refused.startswith("spec.vpnAddress: 198.18.254.2 is used by another TVoxLink")


async def test_there_is_a_number_for_as_many_as_there_are_slots() -> None:
    found = await together(FakeApi(HOME), *(a_link(f"b{n}") for n in range(6)))
    assert [one.name for one in found.values() if one.refused] == ["b5"]
    assert "none of the instance's 6 slots" in found["TVoxLink/b5"].refused


async def test_links_come_before_or_after_their_instance() -> None:
    for bodies in ([an_instance(), a_community(), a_link("acme")], [a_link("acme"), a_community(), an_instance()]):
        found = await together(FakeApi([]), *bodies)
        assert [one.refused for one in found.values()] == ["", "", ""]


async def test_a_users_file_beside_its_community_counts() -> None:
    users = "".join(f"- name: u{n}\n" for n in range(1001))
    file = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "people", "labels": {"mcs.tvox.io/users": "true"}},
        "data": {"users.yaml": users},
    }
    community = a_community("bolt", usersFrom=[{"configMapRef": {"name": "people"}}])
    found = await together(FakeApi(HOME), community, file)
    assert list(found) == ["Community/bolt"]
    assert found["Community/bolt"].refused


async def test_what_is_wrong_already_and_does_not_change_is_no_refusal() -> None:
    twins = [at("ns-a", a_link("b", domain="x.mcs.test"), 3), at("ns-a", a_link("c", domain="x.mcs.test"))]
    found = await together(FakeApi([*HOME, *twins]), a_link("c", domain="x.mcs.test"))
    assert (found["TVoxLink/c"].action, found["TVoxLink/c"].refused) == ("unchanged", "")


async def test_pruning_deletes_what_is_not_in_the_files() -> None:
    found = await together(FakeApi(HOME), an_instance(), a_community(), prune=True)
    assert {name: one.action for name, one in found.items()} == {
        "MCSInstance/mcs": "unchanged",
        "Community/acme": "unchanged",
        "TVoxLink/acme": "deleted",
    }
    assert found["TVoxLink/acme"].customers == ("acme",)
    assert exit_code(found.values()) == 3
    assert summary(list(found.values())) == "2 unchanged, 1 deleted; 1 customer is interrupted"


async def test_pruning_an_instance_is_as_grave_as_a_restart() -> None:
    found = await together(FakeApi(HOME), a_community(), a_link("acme"), prune=True)
    assert found["MCSInstance/mcs"].customers == ("acme",)
    assert exit_code(found.values()) == 4


async def test_pruning_a_community_leaves_its_tunnels() -> None:
    found = await together(FakeApi(HOME), an_instance(), a_link("acme"), prune=True)
    assert "its users are not served any more; the tunnels stay" in found["Community/acme"].lines()[0]
    assert found["Community/acme"].customers == ("acme",)


async def test_pruning_minds_the_namespaces_of_the_files_alone() -> None:
    found = await together(FakeApi([*HOME, at("ns-b", a_link("other"))]), *HOME, prune=True)
    assert "TVoxLink/other" not in found


async def test_a_switched_off_link_is_pruned_without_a_notice() -> None:
    off = at("ns-a", a_link("off", enabled=False))
    found = await together(FakeApi([*HOME, off]), *HOME, prune=True)
    assert (found["TVoxLink/off"].customers, exit_code(found.values())) == ((), 0)


async def test_what_may_not_be_deleted_is_refused() -> None:
    class Protected(FakeApi):
        async def try_deletion(self, *_: Any) -> None:
            raise ApiError(403, "Forbidden", "it is protected")

    found = await together(Protected(HOME), *HOME[1:], prune=True)
    assert found["MCSInstance/mcs"].refused == "it is protected"
    assert summary(list(found.values())) == "2 unchanged, 1 refused; nobody is interrupted"


async def test_who_may_not_list_plans_each_object_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed(FakeApi):
        async def list(self, resource: Resource, *, namespace: str) -> tuple[list[Object], str]:
            raise ApiError(403, "Forbidden", "communities is forbidden")

    found = await together(Closed(HOME), a_link("bolt"))
    assert found["TVoxLink/bolt"].action == "created"
    assert capsys.readouterr().err == "not judged together: communities is forbidden\n"
    with pytest.raises(ApiError):
        await together(Closed(HOME), a_link("bolt"), prune=True)
