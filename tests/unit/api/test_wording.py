"""Messages for somebody who wrote YAML: a sentence with an example, never Python's words, never a bare pattern."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from mcs_operator.api import KINDS, Community, InvalidObjectError, KubernetesObject, MCSInstance, TVoxLink
from mcs_operator.api.schema import Schema, models, plain_schema
from mcs_operator.api.wording import SAYS_KEY
from support.objects import a_community, a_link, an_instance

PYTHONS_WORDS = re.compile(
    r"Input should|valid (tuple|dictionary|string|integer|boolean)|instance of|\^\[|pattern|Tuple"
)


def said(kind: type[KubernetesObject], body: Any) -> str:
    with pytest.raises(InvalidObjectError) as caught:
        kind.from_object(body)
    return str(caught.value)


def schemas(node: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from schemas(node[key], f"{path}[]")


@pytest.mark.parametrize("kind", KINDS)
def test_every_pattern_of_a_spec_has_a_sentence(kind: type[KubernetesObject]) -> None:
    spec = plain_schema(kind)["properties"]["spec"]
    assert [path for path, node in schemas(spec, "spec") if "pattern" in node and SAYS_KEY not in node] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_and_map_of_a_spec_is_counted_before_its_entries_are_read(kind: type[KubernetesObject]) -> None:
    spec = kind.model_fields["spec"].annotation
    assert spec is not None
    texts = {
        f"{model.__name__}.{name}": f"{field.annotation!r} {field.metadata!r}"
        for model in models(spec)
        for name, field in model.model_fields.items()
    }
    many = {name: text for name, text in texts.items() if "tuple[" in text or "Mapping[" in text}
    assert many
    assert [name for name, text in many.items() if "AtMost(" not in text] == []


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        pytest.param("ACME.mcs.test", "lower case only; write acme.mcs.test", id="upper case"),
        pytest.param("acme.mcs.test.", "no final dot; write acme.mcs.test", id="final dot"),
        pytest.param("Acme.mcs.test.", "no final dot; lower case only; write acme.mcs.test", id="both"),
        pytest.param("acme_corp.mcs.test", "no underscore", id="underscore"),
        pytest.param("*.mcs.test", "no wildcard; write the one name that browsers open", id="wildcard"),
        pytest.param("müller.mcs.test", "begins with xn--; write xn--mller-kva.mcs.test", id="international"),
        pytest.param("MÜLLER.mcs.test", "write xn--mller-kva.mcs.test", id="international and upper case"),
        pytest.param("straße.mcs.test", "a form that begins with xn--", id="two standards differ"),
        pytest.param("https://acme.mcs.test/", "without https:// and without a path", id="an address of a page"),
        pytest.param("acme", "at least two parts with a dot between them", id="one label"),
        pytest.param("203.0.113.10", "a name, not an address", id="an address"),
        pytest.param(f"{'a' * 64}.mcs.test", "at most 63 characters between two dots", id="a long label"),
        pytest.param("acme.mcs.test ", "no spaces; write acme.mcs.test", id="a space"),
    ],
)
def test_a_wrong_domain_is_told_how_it_is_written(domain: str, expected: str) -> None:
    message = said(TVoxLink, a_link("acme", domain=domain))
    assert message.startswith("spec.domain: ")
    assert expected in message
    assert "such as acme.mcs.example.com" in message


@pytest.mark.parametrize("domain", ["straße.mcs.test", "ab\u200dcd.mcs.test"])
def test_no_spelling_is_advised_that_not_everybody_agrees_on(domain: str) -> None:
    assert "write " not in said(TVoxLink, a_link("acme", domain=domain)).partition("xn--")[2]


@pytest.mark.parametrize("domain", ["xn--mller-kva.mcs.test", "a.bc", "1.2.ab"])
def test_a_right_domain_is_taken(domain: str) -> None:
    assert TVoxLink.from_object(a_link("acme", domain=domain)).spec.domain == domain


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (TVoxLink, a_link("acme", domain=4711), "spec.domain: 4711: must be a full domain name in lower case, such as"),
        (TVoxLink, a_link("acme", domain=4711), "this is a number; put it in quotes"),
        (TVoxLink, a_link("acme") | {"spec": {"domain": None}}, "this is empty"),
        (
            TVoxLink,
            a_link("acme", instanceRef="mcs"),
            "spec.instanceRef: 'mcs': must be an object (lines of key: value)",
        ),
        (
            TVoxLink,
            a_link("acme", allowedSources="any"),
            "spec.allowedSources: 'any': must be a list (lines that begin",
        ),
        (TVoxLink, a_link("acme", enabled="maybe"), "spec.enabled: 'maybe': must be true or false, and is a text"),
        (
            TVoxLink,
            a_link("acme", vpnAddress="1.2.3"),
            "must be an IPv4 address, four numbers of 0 to 255, such as 203.0.1",
        ),
        (TVoxLink, a_link("acme", communityRef={"name": "ACME"}), "such as acme: lower case only; write acme"),
        (TVoxLink, a_link("acme", communityRef={"name": "a_b"}), "no underscore"),
        (TVoxLink, a_link("acme", communityRef={"name": ""}), "it is empty"),
        (TVoxLink, a_link("acme", communityRef={"name": "a" * 254}), "it has 254 characters, 253 at most"),
        (
            MCSInstance,
            an_instance(vpn={"slots": "many"}),
            "spec.vpn.slots: 'many': must be a whole number, and is a text",
        ),
        (MCSInstance, an_instance(vpn={"slots": 1.5}), "spec.vpn.slots: 1.5: must be a whole number"),
        (MCSInstance, an_instance(retain={"links": "30d"}), "such as 720h or 1h30m; a day is 24h"),
        (MCSInstance, an_instance(bandwidth="100"), "bits per second with M or G, such as 500M or 1G"),
        (MCSInstance, an_instance(resources={"limits": {"memory": "8"}}), "bytes with a unit, such as 8Gi"),
        (MCSInstance, an_instance(resources={"limits": {"cpu": "0"}}), 'cores above 0, such as 4, "1.5" or 500m'),
        (MCSInstance, an_instance(nodeSelector={"a": 1}), "must be a label's value"),
        (Community, a_community() | {"spec": {"users": "anna"}}, "spec.users: must be a list"),
        (Community, a_community() | {"spec": []}, "spec: must be an object (lines of key: value), and is a list"),
        (
            Community,
            {"metadata": {"name": 4711}, "spec": {}},
            "metadata.name: 4711: must be a text, and is a number; put",
        ),
        (
            Community,
            {"metadata": {"name": "a", "labels": {"b": 1}}, "spec": {}},
            "metadata.labels: the value of b must be",
        ),
        (Community, {"metadata": None, "spec": {}}, "metadata: must be an object (lines of key: value), and is empty"),
    ],
)
def test_what_is_wrong_is_told_in_words_of_yaml(kind: type[KubernetesObject], body: Any, expected: str) -> None:
    message = said(kind, body)
    assert expected in message
    assert not PYTHONS_WORDS.search(message)


@pytest.mark.parametrize(
    "users",
    [
        ["anna"],
        [{"name": "Anna"}],
        [{"name": "anna", "displayName": "Anna\u202e"}],
        [{"name": "anna", "enabled": "anna"}],
        [{"name": "bea", "functions": "anna"}],
    ],
)
def test_no_message_names_a_user(users: list[Any]) -> None:
    message = said(Community, a_community("acme") | {"spec": {"instanceRef": {"name": "mcs"}, "users": users}})
    assert "spec.users[0]" in message
    assert "anna" not in message.replace("such as anna.rossi", "").lower()


@pytest.mark.parametrize(
    "letter", ["\x00", "\x1f", "\x7f", "\x85", "\x9f", "\u061c", "\u200e", "\u2028", "\u202e", "\u2069"]
)
def test_a_display_name_has_nothing_that_cannot_be_seen_or_turns_the_line(letter: str) -> None:
    assert "on one line" in said(Community, a_community(displayName=f"a{letter}b"))


@pytest.mark.parametrize("name", ["ACME S.p.A.", "Jürgen 👩‍💻", "محمد", "\xa0", "名"])
def test_a_display_name_may_be_of_any_script(name: str) -> None:
    assert Community.from_object(a_community(displayName=name)).spec.display_name == name


MEGABYTE = 350_000
WRONG: list[tuple[type[KubernetesObject], Any]] = [
    (Community, a_community() | {"spec": {"instanceRef": {"name": "mcs"}, "users": [1] * MEGABYTE}}),
    (Community, a_community() | {"spec": {"instanceRef": {"name": "mcs"}, "users": [{"name": 1}] * 1000}}),
    (Community, a_community() | {"spec": {"instanceRef": {"name": "mcs"}, "users": [{"functions": [1] * MEGABYTE}]}}),
    (Community, a_community() | {"spec": {"instanceRef": {"name": "mcs"}, "usersFrom": [[]] * MEGABYTE}}),
    (Community, a_community() | {"spec": {"instanceRef": {"name": "mcs"}, "defaultFunctions": [{}] * MEGABYTE}}),
    (TVoxLink, a_link("acme", allowedSources=[None] * MEGABYTE)),
    (TVoxLink, a_link("acme", domain="ü." * MEGABYTE)),
    (TVoxLink, a_link("acme") | {"metadata": {"name": "a", "labels": {str(n): n for n in range(100_000)}}}),
    (TVoxLink, a_link("acme") | {"metadata": {"name": "a", "annotations": {"a" * MEGABYTE: 1}}}),
    (MCSInstance, an_instance(tolerations=[1] * MEGABYTE)),
    (MCSInstance, an_instance(nodeSelector={str(n): n for n in range(100_000)})),
    (MCSInstance, an_instance(nodeSelector={"a" * MEGABYTE: 1})),
    (MCSInstance, an_instance(drainSeconds=10**4000)),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_a_megabyte_of_nonsense_costs_no_more_than_milliseconds_and_says_little(case: int) -> None:
    kind, body = WRONG[case]
    begun = time.process_time()
    message = said(kind, body)
    spent = time.process_time() - begun
    assert spent < 0.5, "50 ms and less here; seconds before"
    assert len(message) < 2000
    tracemalloc.start()
    said(kind, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_the_limit_itself_is_taken_and_one_more_is_not() -> None:
    users = [{"name": f"u{n}"} for n in range(1001)]
    assert len(Community.from_object(a_community(users=users[:1000])).spec.users) == 1000
    assert "has 1001 entries, and may have at most 1000" in said(Community, a_community(users=users))
