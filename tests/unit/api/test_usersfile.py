"""Users files: what is read, and what is said about one that cannot be. Anybody writes them, by hand or by a tool."""

from __future__ import annotations

import base64
import os
import random
import time
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mcs_operator.api import Function, User, usersfile
from mcs_operator.api.usersfile import (
    LARGEST_FILE,
    MOST_USERS,
    ListedUser,
    UsersFileError,
    content_of,
    read_users,
    take_users_file,
    users_file_of,
)
from mcs_operator.domain.rules.tiers import TIERS

MESSAGES = Path(__file__).with_name("wrong_users_files.txt")
ANNA = ListedUser("anna", None, True, None)


def problem(text: str | bytes) -> str:
    """What is said of a file that cannot be taken."""
    with pytest.raises(UsersFileError) as caught:
        read_users(text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


# --- what is read ---


def test_a_user_has_what_is_said_and_for_the_rest_the_communitys_default() -> None:
    bobs = "- {name: bob, displayName: 'Bob B.', enabled: false, functions: [Video, Audio]}"
    text = f"- name: anna\n{bobs}\n- name: eve\n  functions: []"
    bob = ListedUser("bob", "Bob B.", False, (Function.VIDEO, Function.AUDIO))
    assert read_users(text.encode()) == (ANNA, bob, ListedUser("eve", None, True, ()))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"- name: anna", id="plain"),
        pytest.param(b"---\n- name: anna\n...\n", id="with the marks of a document"),
        pytest.param("\ufeff- name: anna\n".encode(), id="with a BOM"),
        pytest.param(b"- name: anna\r\n  enabled: true\r\n", id="with CRLF"),
        pytest.param(b"# users\n- name: anna # she\n", id="with comments"),
        pytest.param(b'[{"name": "anna", "enabled": true}]', id="JSON"),
        pytest.param(b'[\n\t{\n\t\t"name": "anna"\n\t}\n]', id="JSON with tabs"),
        pytest.param(b"- name: 'anna'\n  displayName: ~\n  functions: null\n", id="null is the default"),
        pytest.param(b"- name: >-\n    anna\n", id="a folded text"),
        pytest.param(b"- {name: anna, enabled: 'yes'}", id="a yes in quotes"),
    ],
)
def test_what_people_and_tools_write_is_read(content: bytes) -> None:
    assert read_users(content) == (ANNA,)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        pytest.param('[{"name":"a","displayName":"\\ud83d\\ude00 \\/ \\u00e9"}]', "😀 / é", id="as JSON escapes it"),
        pytest.param("- {name: a, displayName: 😀}", "😀", id="as it is"),
        pytest.param('- {name: a, displayName: "\\U0001F600"}', "😀", id="as YAML escapes it"),
        pytest.param(r"- {name: a, displayName: '\ud83d\ude00'}", r"\ud83d\ude00", id="where it is none"),
        pytest.param(r'- {name: a, displayName: "\\ud83d\\ude00"}', r"\ud83d\ude00", id="where the backslash is one"),
        pytest.param("- {name: a, displayName: Zoë 👩‍👩‍👧}", "Zoë 👩‍👩‍👧", id="with a joiner, as families have"),
    ],
)
def test_a_display_name_may_have_an_emoji(text: str, display: str) -> None:
    assert read_users(text.encode())[0].display_name == display


@pytest.mark.parametrize(
    ("word", "enabled"),
    [(word, True) for word in ("true", "yes", "on", "y", "t", "1")]
    + [(word, False) for word in ("false", "no", "off", "n", "f", "0")],
)
def test_every_word_for_yes_and_no_is_understood_as_the_schema_does(word: str, enabled: bool) -> None:
    for said in (word, word.upper(), f"'{word}'"):
        assert read_users(f"- name: anna\n  enabled: {said}\n".encode()) == (ANNA._replace(enabled=enabled),)
    assert User.model_validate({"name": "anna", "enabled": word}).enabled is enabled


def test_an_empty_list_is_a_file_without_users() -> None:
    assert read_users(b"[]") == ()


def test_the_largest_tier_fits_one_file_and_one_user_more_does_not() -> None:
    assert MOST_USERS == max(tier.users for tier in TIERS.values()) == 10_000
    listed = [f"- name: u{n}\n" for n in range(MOST_USERS)]
    assert len(read_users("".join(listed).encode())) == MOST_USERS
    assert problem("".join(listed) + "- name: more\n").startswith(
        f"line {MOST_USERS + 1}: [{MOST_USERS}]: a users file may"
    )


def test_a_file_may_be_as_large_as_a_configmap() -> None:
    assert LARGEST_FILE == 1024 * 1024
    assert read_users(b"[]" + b" " * (LARGEST_FILE - 2)) == ()
    assert problem(b"[]" + b" " * (LARGEST_FILE - 1)) == (
        "it has 1048577 bytes, and may have 1048576; make several files of it"
    )


# --- what is said of a file that is wrong ---


WRONG = [
    pytest.param("- name: a\n- {name: b\n", "line 3: not YAML: did not find", id="YAML that does not end"),
    pytest.param(
        "- name: a\n- {name: b\n- name: c\n",
        "line 2: [1].name: goes on in the next line; is a bracket",
        id="a bracket that is missing",
    ),
    pytest.param("name: a", "line 1: must be a list of users, such as '- name: anna', and is a map", id="a map"),
    pytest.param("anna", "line 1: must be a list of users, such as '- name: anna', and is a text", id="a text"),
    pytest.param("", "it must be a list of users, and is empty", id="nothing"),
    pytest.param("# nobody yet\n", "it must be a list of users, and is empty", id="a comment"),
    pytest.param("---\n", "and is empty", id="an empty document"),
    pytest.param("- name: a\n---\n- name: b\n", "line 2: a second document begins here", id="two documents"),
    pytest.param("- anna", "line 1: [0]: must be a user, such as {name: anna", id="a text instead of a user"),
    pytest.param("- [anna]", "line 1: [0]: must be a user", id="a list instead of a user"),
    pytest.param(
        "-\n", "line 1: [0]: must be a user, such as {name: anna, functions: [Audio]}, and is empty", id="a dash"
    ),
    pytest.param("- name: a\n- displayName: Anna", "line 2: [1].name: is missing", id="no name"),
    pytest.param("- name:", "line 1: [0].name: is empty", id="a name without a value"),
    pytest.param("- name: 12", "[0].name: must be a text, and is a number; put it in quotes", id="a number"),
    pytest.param("- name: 1.5", "and is a number; put it in quotes", id="a number with a point"),
    pytest.param("- name: no", "and is true or false; put it in quotes", id="a word that YAML takes for false"),
    pytest.param("- name: 2024-01-02", "and is a date; put it in quotes", id="a date"),
    pytest.param("- name: [a]", "[0].name: must be a text, and is a list", id="a list as name"),
    pytest.param("- name: {a: b}", "[0].name: must be a text, and is a map", id="a map as name"),
    pytest.param("- {name: a, functions: {a: b}}", "must be a list, such as", id="a map as functions"),
    pytest.param("- {name: a, enabled: [yes]}", "must be true or false, and is a list", id="a list for yes or no"),
    pytest.param("- name: a\n- name: Anna", "line 2: [1].name: may have lower case", id="upper case"),
    pytest.param("- name: Anna", "write it in lower case", id="upper case, what to do"),
    pytest.param("- name: anna!", "choose another", id="a character that no name has"),
    pytest.param("- name: 'anna\n\n  '", "or a quote missing?", id="a line end behind the name"),
    pytest.param("- name: " + "a" * 65, "[0].name: has 65 characters, and may have 64", id="too long a name"),
    pytest.param("- {name: a, displayName: '" + "é" * 129 + "'}", "[0].displayName: has 129", id="too long for people"),
    pytest.param("- {name: a, displayName: ''}", "has 0 characters, and may have 1 to 128", id="no text for people"),
    pytest.param(
        "- {name: a, displayName: 7}", "[0].displayName: must be a text, and is a number", id="a number for people"
    ),
    pytest.param('- {name: a, displayName: "a\\nb"}', "must be on one line", id="two lines for people"),
    pytest.param('- {name: a, displayName: "a\\x9bb"}', "control characters", id="C1"),
    pytest.param("- {name: a, displayName: 'a\u202eb'}", "turn the direction", id="bidi, as it is"),
    pytest.param('- {name: a, displayName: "a\\u2066b"}', "turn the direction", id="bidi, escaped"),
    pytest.param("- {name: a, enabled: maybe}", "[0].enabled: must be true or false, and is a text", id="no yes or no"),
    pytest.param(
        "- {name: a, enabled: }", "[0].enabled: must be true or false, and is empty", id="nothing for yes or no"
    ),
    pytest.param(
        "- {name: a, functions: Audio}",
        "[0].functions: must be a list, such as [Audio, Chat], and is a text",
        id="a text as functions",
    ),
    pytest.param(
        "- name: a\n  functions: [Audio,\n    Telepathy]",
        "line 3: [0].functions[1]: must be one of Audio,",
        id="an unknown function",
    ),
    pytest.param("- {name: a, functions: [[Audio]]}", "[0].functions[0]: must be one of", id="a list in the functions"),
    pytest.param(
        "- {name: a, functions: [Audio, Audio]}",
        "[0].functions[1]: Audio is in the list already",
        id="a function twice",
    ),
    pytest.param(
        "- name: a\n  function: [Audio]",
        "line 2: [0]: unknown field; a user has name, displayName, enabled, functions",
        id="a typo in a field's name",
    ),
    pytest.param("- {display_name: A, name: a}", "[0]: unknown field", id="Python's spelling"),
    pytest.param("- ? [a]\n  : b", "[0]: unknown field", id="a list as a field's name"),
    pytest.param(
        "- name: a\n- name: b\n- name: a",
        "line 3: [2].name: the same name as at [0], line 1; take one of them out",
        id="a name twice",
    ),
    pytest.param(
        "- name: a\n  functions: [Audio]\n  name: b\n",
        "line 3: [0]: a second name in one entry; is the dash (-) of a new one missing?",
        id="a lost dash",
    ),
    pytest.param("- &a {name: a}", "line 1: anchors and aliases", id="an anchor"),
    pytest.param("- name: a\n- *a\n", "anchors and aliases (& and *) are not taken", id="an alias"),
    pytest.param("- {<<: {name: a}}", "merge keys (<<) are not taken", id="a merge key"),
    pytest.param("- name: !!str 12", "tags (!) are not taken", id="a tag"),
    pytest.param("- name: !!python/object/apply:os.system [id]", "tags (!)", id="a tag that would run something"),
    pytest.param("!u - name: a", "not YAML", id="a tag before the list"),
    pytest.param("%YAML 1.1\n---\n[]", "line 1: lines that begin with %", id="a directive"),
    pytest.param("# one\n[]\n\n%TAG !a! b", "line 4: lines that begin with %", id="a directive further down"),
    pytest.param("#\r%TAG !a! b\r---\r[]", "lines that begin with %", id="a directive on an old Mac"),
    pytest.param("- name: " + "9" * 5000, "has 5000 characters", id="a number that no machine reads"),
    pytest.param("- name: a\x00b", "not YAML", id="a byte that no text has"),
    pytest.param('- {name: a, displayName: "\\ud83d"}', "not YAML", id="half of an emoji"),
    pytest.param(
        "- name: é".encode("latin-1"),
        "it is not UTF-8 but another encoding, such as Latin-1; save it as UTF-8",
        id="Latin-1",
    ),
    pytest.param("- name: a".encode("utf-16"), "it is not UTF-8 but UTF-16; save it as UTF-8", id="UTF-16"),
    pytest.param(b"#" * (LARGEST_FILE + 1), "it has 1048577 bytes, and may have 1048576", id="too large"),
]
"""What is wrong, and the part of the message that tells it; all messages in whole are in `wrong_users_files.txt`."""


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_file_that_cannot_be_taken_says_where_and_what_to_do(text: str | bytes, told: str) -> None:
    said = problem(text)
    assert told in said
    assert len(said) < 300


def test_every_message_is_as_it_was_read_and_agreed_to() -> None:
    """Written anew by MCS_GOLDEN=write. Without what the parser itself says, which is its own."""
    said = {str(case.id): problem(case.values[0]) for case in WRONG}  # type: ignore[arg-type]
    text = "".join(f"{id}: {words}\n" for id, words in said.items() if "not YAML" not in words)
    if os.environ.get("MCS_GOLDEN") == "write":
        MESSAGES.write_text(text)
    assert text == MESSAGES.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "- hunter2",
        "- hunter2: x",
        "- {name: hunter2!}",
        "- {name: Hunter2}",
        "- {name: a, displayName: 'hunter2\u202e'}",
        "- {name: a, enabled: hunter2}",
        "- {name: a, functions: [hunter2]}",
        "- {name: hunter2}\n- {name: hunter2}",
        "- {name: hunter2, name: b}",
        "- &hunter2 {name: a}",
        "- *hunter2",
        "- !hunter2 a",
        "%hunter2",
        "- {name: hunter2",
        "- 'hunter2\n",
        "- {name: a, password: hunter2}",
    ],
)
def test_nothing_of_the_file_is_quoted(text: str) -> None:
    """It tells of people, and what is in the wrong place may be a secret."""
    assert "hunter2" not in problem(text).lower()


@pytest.mark.parametrize(
    "entry",
    [
        *({"name": name} for name in ("a", "a.b_c@d+e-f", "-a", "a-", "A", "", "a" * 64, "a" * 65, "0", "é")),
        *({"name": "a", "displayName": text} for text in ("", "x", "x" * 128, "x" * 129, "é" * 128, "a\tb", "a\x7fb")),
        *({"name": "a", "functions": f} for f in ([], ["Audio"], ["audio"], [f.value for f in Function], None, "Chat")),
        *({"name": "a", "enabled": value} for value in (True, False, "true", "maybe")),
    ],
)
def test_a_file_and_the_schema_agree_about_a_user(entry: dict[str, Any]) -> None:
    """Whoever moves a user from spec.users to a file, or back, need not change him."""
    try:
        known = User.model_validate(entry)
    except ValidationError:
        known = None
    found = take_users_file("ConfigMap", "x", yaml.safe_dump([entry]).encode()).users
    if known is None:
        assert found is None
    else:
        assert found == (ListedUser(known.name, known.display_name, known.enabled, known.functions),)


# --- a whole object ---


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("ConfigMap", {"data": {"users.yaml": "- name: anna"}}),
        ("ConfigMap", {"binaryData": {"users.yaml": b64(b"- name: anna")}}),
        ("Secret", {"data": {"users.yaml": b64(b"- name: anna")}}),
        ("Secret", {"stringData": {"users.yaml": "- name: anna"}}),
    ],
)
def test_a_file_is_found_where_the_api_server_has_it(kind: str, body: dict[str, Any]) -> None:
    found = users_file_of(kind, "staff", body)
    assert (found.kind, found.name, found.users, found.count, found.problem) == (kind, "staff", (ANNA,), 1, "")


@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": {}}, {"data": {"people.yaml": "x"}}, {"data": {"users.yaml": None}}]
)
def test_without_its_key_there_is_nothing_and_nothing_wrong(body: dict[str, Any]) -> None:
    assert content_of("ConfigMap", body) is None
    assert users_file_of("ConfigMap", "staff", body) == usersfile.UsersFile("ConfigMap", "staff")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("ConfigMap", {"binaryData": {"users.yaml": b64("- name: a".encode("utf-16"))}}),
        ("Secret", {"data": {"users.yaml": b64("- name: é".encode("latin-1"))}}),
        ("Secret", {"data": {"users.yaml": "~"}}),
        ("ConfigMap", {"data": {"users.yaml": "\ud800"}}),
    ],
)
def test_what_is_no_utf8_is_there_and_is_told(kind: str, body: dict[str, Any]) -> None:
    found = users_file_of(kind, "staff", body)
    assert found.users is None
    assert "not" in found.problem


# --- hostile ones ---

_MB = 1024 * 1024
HOSTILE = {
    "60,000 [": "[" * 60_000,
    "a megabyte of [": "[" * _MB,
    "a megabyte of {": "{" * _MB,
    "a megabyte of [ and line ends": "[\n" * (_MB // 2),
    "a megabyte of dashes": "- " * (_MB // 2),
    "a megabyte of ?": "? " * (_MB // 2),
    "stairs": "".join(" " * n + "-\n" for n in range(1400)),
    "wrong entries": "- {}\n" * 200_000,
    "wrong fields": "- {nam: x, a: 1}\n" * 58_000,
    "aliases": "- &a {name: a}\n" + "- *a\n" * 200_000,
    "directives": "".join(f"%TAG !a{n}! x\n" for n in range(60_000)) + "--- []",
    "directives behind a NEL": "#\x85" + "".join(f"%TAG !a{n}! x\x85" for n in range(50_000)) + "--- []",
    "documents": "---\n" * (_MB // 4),
    "one long name": "- name: " + "a" * (_MB - 8),
    "one long field": "- " + "a" * (_MB - 6) + ": b",
    "one long text of escapes": '- name: "' + "\\\\" * (_MB // 2 - 5) + '"',
    "emojis": '- name: "' + "\\ud83d\\ude00" * 80_000 + '"',
    "nothing but backslashes": "\\" * _MB,
    "line ends": "\n" * _MB,
    "line ends in a text": "- name: a\n" + "\n" * (_MB - 20) + "  b",
    "spaces": " " * _MB,
    "tabs": "\t" * _MB,
    "comments": "#\n" * (_MB // 2),
    "functions": "- {name: a, functions: [" + "Audio," * 170_000 + "]}",
    "fields": "- {" + "name: a, " * 110_000 + "}",
    "commas": "- {name: a" + "," * (_MB - 20) + "}",
    "a merge bomb": "- &u0 {name: anna}\n"
    + "".join(f"- &u{n} {{<<: [*u{n - 1}, *u{n - 1}], name: n{n}}}\n" for n in range(1, 22)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_file_is_refused_in_no_time_and_without_memory(text: str) -> None:
    """60,000 brackets ended the operator by SIGSEGV, 22 lines with merge keys took ten seconds."""
    content = text.encode()
    assert len(content) <= _MB
    tracemalloc.start()
    begun = time.process_time()
    assert problem(content)
    took = time.process_time() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 3, "with tracemalloc, which makes it some ten times slower"
    assert peak < 16 * _MB


def test_ten_thousand_users_take_little_memory() -> None:
    text = "".join(f"- {{name: user.{n:05d}, displayName: 'Somebody {n}', functions: [Chat]}}\n" for n in range(10_000))
    tracemalloc.start()
    users = read_users(text.encode())
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(users) == 10_000
    assert held < 5 * _MB


_PIECES = (
    "- ",
    "name",
    ": ",
    "a",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "functions",
    "Audio",
    "enabled",
    "true",
    "&a ",
    "*a",
    "!!x ",
    "<<",
    "'",
    '"',
    "\\ud83d",
    "\\ude00",
    "#",
    "|",
    ">",
    "%TAG",
    "---",
    "...",
    "\r",
    "\t",
    "\x85",
    "\u2028",
    "\ufeff",
    "?",
    "é",
    "displayName",
    "null",
    "0x1",
    "1e9",
    "2024-01-01",
    ":",
    "\x00",
    "@",
    "`",
)


_GOOD = (
    "- name: anna\n  displayName: Anna R.\n  functions: [Audio, Chat]\n- {name: bob, enabled: false}\n- name: 'eve'\n",
    '[{"name": "anna", "displayName": "\\ud83d\\ude00", "functions": []}, {"name": "bob", "enabled": true}]',
)


def some_file(rng: random.Random) -> bytes:
    """Bytes, pieces of YAML, or a good file in which some pieces were put, or taken out."""
    if rng.random() < 0.1:
        return rng.randbytes(40)
    if rng.random() < 0.4:
        return "".join(rng.choices(_PIECES, k=rng.randint(1, 40))).encode()
    text = rng.choice(_GOOD)
    for _ in range(rng.randint(0, 3)):
        begin = rng.randrange(len(text))
        text = text[:begin] + rng.choice((*_PIECES, "")) + text[begin + rng.choice((0, 0, 1, 5)) :]
    return text.encode()


def test_whatever_is_put_together_gives_users_or_one_sentence() -> None:
    """MCS_FUZZ is the number of inputs, MCS_FUZZ_SEED where they begin."""
    rng = random.Random(int(os.environ.get("MCS_FUZZ_SEED", "13")))  # noqa: S311 - to be repeated, not to be secret
    reached = Counter[str]()
    for _ in range(int(os.environ.get("MCS_FUZZ", "1000"))):
        found = take_users_file("ConfigMap", "x", some_file(rng))
        assert (found.users is None) == bool(found.problem)
        assert "\n" not in found.problem
        assert len(found.problem) < 300
        reached[found.problem.rpartition(": ")[2] if found.problem else "users"] += 1
    assert reached["users"] > 50
    assert len(reached) > 20, "inputs that are all refused at the first door test that door alone"


def test_without_libyaml_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usersfile, "_LOADER", yaml.SafeLoader)
    assert read_users(b"- {name: anna, enabled: true}") == (ANNA,)
    assert "control characters" in problem('- {name: anna, displayName: "\\ud83d"}')
    assert problem("[" * 60_000).startswith("line 1: [0]: must be a user")
    assert "anchors and aliases" in problem("- &a {name: a}")
    for beyond in ("00110000", "FFFFFFFF"):
        assert problem(f'- name: "\\U{beyond}"') == "not YAML: a character that no text has"


def test_who_is_listed_is_not_shown_with_the_file() -> None:
    taken = take_users_file("ConfigMap", "staff", b"- name: hunter2\n")
    assert taken.users is not None
    assert "hunter2" not in repr(taken)


def test_a_name_that_no_lower_case_mends_is_to_be_chosen_anew() -> None:
    assert take_users_file("ConfigMap", "staff", b"- name: -anna\n").problem == (
        "line 1: [0].name: may have lower case letters, digits and . _ @ + -, and begins and ends with a letter or "
        "digit; choose another"
    )
