"""A slot's set of files and its name: as the supervisor reckons it, with nothing but sha256sum."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mcs_operator.contract.digest import canonical, digest
from mcs_operator.contract.slotfiles import FINGERPRINTS, SLOT_FILES, pins_in, slot_revision

FILES = {name: f"content of {name}, è\n" for name in SLOT_FILES}


def test_the_set_of_a_slot_is_these_files() -> None:
    """The supervisor has the same list, in another language."""
    files = ["DEFAULT", "ca.crt", "enabled", "firewall.nft", "server.conf", "tls-crypt.key", "tls.crt", "tls.key"]
    assert list(SLOT_FILES) == files
    assert FINGERPRINTS == "fingerprints.json"


def test_a_revision_is_what_sha256sum_says(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    said = subprocess.run(
        ["sh", "-c", f"sha256sum {' '.join(SLOT_FILES)} | sha256sum"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert slot_revision(FILES) == said.split()[0]


def test_other_entries_do_not_count_and_a_missing_file_is_an_error() -> None:
    assert slot_revision(FILES | {FINGERPRINTS: "[]", "revision": "x"}) == slot_revision(FILES)
    for name in SLOT_FILES:
        assert slot_revision(FILES | {name: "x"}) != slot_revision(FILES)
        with pytest.raises(KeyError, match=name):
            slot_revision({other: text for other, text in FILES.items() if other != name})


@pytest.mark.parametrize(
    ("conf", "pins"),
    [
        ("", ()),
        ("<peer-fingerprint>\nAA\n", ()),
        ("<peer-fingerprint>\n</peer-fingerprint>", ()),
        ("port 1\n<peer-fingerprint>\nAA # new\n\n# old\n  BB  \n</peer-fingerprint>\nCC\n", ("AA", "BB")),
        ("<peer-fingerprint>\nAA\n</peer-fingerprint>\n<peer-fingerprint>\nBB\n</peer-fingerprint>\n", ("AA",)),
    ],
)
def test_the_pins_of_a_configuration_are_read_without_its_remarks(conf: str, pins: tuple[str, ...]) -> None:
    assert pins_in(conf) == pins


def test_the_bytes_of_a_value_depend_on_nothing_but_the_value() -> None:
    assert canonical({"b": [1, None], "a": {"è": True}}) == '{"a":{"è":true},"b":[1,null]}'
    assert digest("è") == "97c916cd94785d7b9b52ae7013c267854f275691ddaae212bc1c07f639b8a0c7"
