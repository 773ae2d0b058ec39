"""Files of strangers: read as kubectl reads them, refused in one sentence, and never at anybody's cost."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from mcs_operator.cli import yamltext
from mcs_operator.cli.files import MAX_BYTES, read
from mcs_operator.cli.main import cli
from mcs_operator.cli.yamltext import MAX_DEPTH, MAX_VALUES, TextError, documents
from support.objects import a_community, a_link, an_instance

ROUNDS = int(os.environ.get("MCS_FUZZ", "1000"))


def value_of(text: str) -> Any:
    (document,) = documents(f"a: {text}")
    return document["a"]


def refused(text: str) -> str:
    with pytest.raises(TextError) as caught:
        list(documents(text))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("On", True), ("y", True), ("off", False), ("NO", False), ("~", None), ("", None),
        ("Null", None),
        ("2026-03-01", "2026-03-01"), ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"), ("1:30", "1:30"),
        ("0777", 511), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("-0777", -511), ("1_000", 1000), ("08", 8), ("+1", 1),
        ("1.0", 1), ("1e3", 1000), ("1.10", 1.1), (".5", 0.5), ("1e", "1e"), ("=", "="), ("1e400", "1e400"),
        ("18446744073709551615", 2**64 - 1), ("123456789012345678901234567890", 1.2345678901234568e29),
        ('"yes"', "yes"), ("'1'", "1"), ("!!str 5", "5"), ("!!int '7'", 7), ("!foo x", "x"), ("!!binary aGk=", "hi"),
        ("[1, a]", [1, "a"]), ("{1: a, yes: b, 1.5: c}", {"1": "a", "true": "b", "1.5": "c"}), (".", "."), ("-a", "-a"),
    ],
)  # fmt: skip
def test_a_scalar_means_what_it_means_to_kubectl(text: str, value: Any) -> None:
    found = value_of(text)
    assert (found, type(found)) == (value, type(value))


def test_merge_keys_and_aliases_are_taken() -> None:
    (found,) = documents("a: &x {b: c, d: e}\nf: {<<: *x, d: g}\nh: {<<: [*x, {d: z, i: j}]}\nk: *x\n")
    assert found["f"] == {"b": "c", "d": "g"}
    assert found["h"] == {"b": "c", "d": "e", "i": "j"}
    assert found["k"] == {"b": "c", "d": "e"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands here again, first in line 1"),
        ("- name: a\n  x: 1\n  name: b", "begin a new entry of the list with a dash (-)"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice in one object"),
        ("a: .inf", "line 1: .inf is no value that JSON has"),
        ("a: .nan", "no value that JSON has"),
        ('{"a": NaN}', "NaN is no value that JSON has"),
        ('{"a": 1e999}', "too large a number"),
        ("a: [", "line 2: no YAML: did not find expected"),
        ("a: {{ .Values.x }}", "line 1: a template of Helm"),
        ("a: b: {{ x }}", "a template of Helm"),
        ("? {a: b}\n: c", "line 1: a key must be a text"),
        ("a: *b", "line 1: the alias *'b' has no anchor before it"),
        ("a: &a [*a]", "line 1: the alias *'a' has no anchor before it, or is inside of it"),
        ("a: {<<: 5}", "line 1: << takes an alias of a mapping"),
        ("a: !!binary '&&&&a'", "!!binary takes base64"),
        ("a: \x01", "no YAML"),
    ],
)
def test_what_is_no_object_of_json_is_refused_with_its_line(text: str, said: str) -> None:
    assert said in refused(text)


def test_depth_has_a_limit_and_no_more_than_that() -> None:
    assert list(documents("[" * MAX_DEPTH + "]" * MAX_DEPTH))
    deep = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert list(documents(deep))
    assert f"deeper than {MAX_DEPTH}" in refused('{"a":' + deep + "}")
    assert f"deeper than {MAX_DEPTH}" in refused("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))


def test_values_have_a_limit_those_of_aliases_counted_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamltext, "MAX_VALUES", 100)
    assert list(documents("[" + "1," * 99 + "]"))
    assert "more than" in refused("[" + "1," * 100 + "]")
    assert "more than" in refused("a: &a [" + "1," * 40 + "]\nb: [*a, *a]")
    assert "more than" in refused("a: &a {" + ",".join(f"k{n}: 1" for n in range(20)) + "}\nb: {<<: [*a, *a, *a]}")


BOMBS = [
    "\n".join(["a0: &u0 {k: v}", *(f"a{n}: &u{n} {{<<: [*u{n - 1}, *u{n - 1}], k{n}: v}}" for n in range(1, 30))]),
    "\n".join(["a0: &u0 [1]", *(f"a{n}: &u{n} [{', '.join([f'*u{n - 1}'] * 9)}]" for n in range(1, 30))]),
    "[" * 60_000,
    "- " * 60_000,
    "{a: " * 60_000,
    "? " * 60_000,
    '{"a":' * 60_000,
    '{"a":' * 900 + "1" + "}" * 900,
    "a: " + "9" * 1_000_000,
    '{"a": ' + "9" * 1_000_000 + "}",
    "&a " * 100_000,
    "!" * 1_000_000,
    "a: '" + "x" * 1_000_000,
    "# " * 500_000,
    "---\n" * 200_000,
    "\t" * 500_000,
    "[" + "[]," * (MAX_VALUES + 1) + "]",
]


@pytest.mark.parametrize("number", range(len(BOMBS)))
def test_no_text_costs_more_than_it_is_worth(number: int) -> None:
    begun = time.process_time()
    try:
        for _ in documents(BOMBS[number]):
            pass
    except TextError:
        pass
    assert time.process_time() - begun < (15 if number == len(BOMBS) - 1 else 5)


def test_merge_bombs_are_refused_in_milliseconds() -> None:
    begun = time.process_time()
    assert "more than 500,000 values" in refused(BOMBS[0])
    assert time.process_time() - begun < 0.2


MANIFEST = yaml.safe_dump(a_link("müller", domain="acme.mcs.test"), allow_unicode=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.yaml").write_bytes(MANIFEST.encode(encoding))
    (document,) = read([str(tmp_path)])
    assert document.name == "müller"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("a: 1\nb: 2\nname: müller".encode("latin-1"), "a.yaml: line 3: is not UTF-8; save the file as UTF-8"),
        ("a: b".encode("utf-16-le"), "UTF-16 without its byte order mark"),
        (b"\xff\xfea", "is not UTF-8"),
        (b"\x7fELF\x00\x00", "is no text"),
        (b"x" * (MAX_BYTES + 1), "larger than 16 MiB"),
        (b"", "no object found"),
        (b"kind: List\nitems:\n- \n- {}", "items[0] is empty, not an object with apiVersion, kind and metadata"),
        (b"kind: List\nitems: [a]", "items[0] is a text"),
        (b"- a", "the document is a list, not an object"),
        (b"5", "the document is a number"),
    ],
)
def test_what_is_no_manifest_is_said_with_the_file(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "a.yaml").write_bytes(raw)
    with pytest.raises(click.ClickException) as caught:
        read([str(tmp_path / "a.yaml")])
    assert said in caught.value.message


def test_lists_are_unpacked_also_lists_of_lists(tmp_path: Path) -> None:
    inner = {"apiVersion": "v1", "kind": "TVoxLinkList", "items": [a_link("a"), a_link("b")]}
    outer = {"apiVersion": "v1", "kind": "List", "items": [inner, a_link("c")]}
    (tmp_path / "a.json").write_text(yaml.safe_dump(outer))
    assert [document.name for document in read([str(tmp_path)])] == ["a", "b", "c"]


def test_a_folder_is_read_in_order_without_folders_and_other_files(tmp_path: Path) -> None:
    for name, link in (("b.yml", "b"), ("a.yaml", "a"), ("c.json", "c"), ("d.txt", "d")):
        (tmp_path / name).write_text(yaml.safe_dump(a_link(link)))
    (tmp_path / "e.yaml").mkdir()
    assert [document.name for document in read([str(tmp_path)])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.yaml", "nowhere.yaml: no such file or folder"),
        ("https://example.com/a.yaml", "fetch it first"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    path: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(click.ClickException) as caught:
        read([path])
    assert said in caught.value.message


def test_a_file_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.yaml").write_text("a: 1")
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(click.ClickException, match=r"a\.yaml: cannot be read: Permission denied"):
        read([str(tmp_path / "a.yaml")])


def run(*arguments: str, stdin: bytes) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


PIECES = [
    b"apiVersion: mcs.tvox.io/v1alpha1\n",
    b"apiVersion: v1\n",
    b"kind: TVoxLink\n",
    b"kind: Community\n",
    b"kind: List\n",
    b"kind: MCSInstance\n",
    b"kind: ConfigMap\n",
    b"kind: Secret\n",
    b"type: kubernetes.io/tls\n",
    b"kind: 5\n",
    b"kind:\n",
    b"metadata: {name: a}\n",
    b"metadata:\n",
    b"metadata: [a]\n",
    b"metadata: {name: 4711, namespace: [x]}\n",
    b"metadata: {name: a, labels: x}\n",
    b'metadata: {name: a, labels: {mcs.tvox.io/users: "true"}}\n',
    b"spec:\n",
    b"spec: {}\n",
    b"spec: []\n",
    b"spec: {instanceRef: {name: mcs}, communityRef: {name: a}, domain: a.b.cd}\n",
    b"spec: {users: [a, {name: b}, {name: b, functions: [Audio, Audio]}], instanceRef: mcs}\n",
    b"spec: {usersFrom: [{configMapRef: {name: a}}], instanceRef: {name: mcs}}\n",
    b"items: [{}, null, 5]\n",
    b"items:\n",
    b"data: {users.yaml: '- {name: a}', tls.crt: '&', a: 5}\n",
    b"data: []\n",
    b"stringData: {tls.crt: x}\n",
    b"---\n",
    b"status: {slot: 5, x: 1}\n",
    b"\xff",
    b"\x00",
    b"a: &a [*a]\n",
    b"{",
    b"}",
    b"- ",
    b"'",
    b"? ",
    b"<<: *a\n",
    b"\t",
    yaml.safe_dump(an_instance()).encode(),
    yaml.safe_dump(a_community(users=["anna"])).encode(),
]


def test_no_file_makes_it_fail() -> None:
    """Generated from pieces that fit together often enough to get past the first check."""
    chance = random.Random(3)  # noqa: S311 - repeatable, and no secret
    whole = yaml.safe_dump_all([an_instance(), a_community(users=["anna"]), a_link("acme")]).encode()
    for number in range(ROUNDS):
        if number % 2:
            raw = b"".join(chance.choice(PIECES) for _ in range(chance.randint(1, 12)))
        else:
            cut, more = chance.randrange(len(whole)), chance.randrange(40)
            raw = whole[:cut] + bytes(chance.randrange(256) for _ in range(chance.randrange(4))) + whole[cut + more :]
        command = "render" if number % 20 == 0 else "validate"
        begun = time.process_time()
        result = run(command, "-f", "-", stdin=raw)
        assert result.exception is None or isinstance(result.exception, SystemExit), (raw, result.exception)
        assert result.exit_code in (0, 1), raw
        assert "Traceback" not in result.output
        assert time.process_time() - begun < 5
