"""Metadata as the operator relies on it: what is kept of it, and how much."""

from __future__ import annotations

from typing import Any

import pytest

from mcs_operator.kube.parse.metadata import is_version, kept_annotations, kept_of_a_child, missing_labels, tidy

GOOD: dict[str, Any] = {"name": "a", "namespace": "demo", "uid": "u", "resourceVersion": "1"}
OWNER = {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "o"}
OURS = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/managed-by",
    "mcs.tvox.io/instance",
    "mcs.tvox.io/link",
    "mcs.tvox.io/slot",
    "mcs.tvox.io/users",
]


def test_of_the_metadata_what_has_its_shape_is_kept() -> None:
    found = tidy(
        {
            "data": {"x": "y"},
            "metadata": GOOD
            | {
                "creationTimestamp": 7,
                "deletionTimestamp": [],
                "generation": 3,
                "labels": {"a": "b", "n": 1},
                "annotations": {"c": "x" * 70_000, "n": None},
                "ownerReferences": [
                    OWNER | {"controller": True, "blockOwnerDeletion": False, "beside": "it"},
                    OWNER | {"controller": "yes", "blockOwnerDeletion": 1},
                    *({key: value for key, value in OWNER.items() if key != lost} for lost in OWNER),
                    "no mapping",
                ],
            },
        }
    )
    assert found == {
        "data": {"x": "y"},
        "metadata": GOOD
        | {
            "generation": 3,
            "labels": {"a": "b"},
            "annotations": {"c": "x" * 70_000},
            "ownerReferences": [OWNER | {"controller": True, "blockOwnerDeletion": False}, OWNER],
        },
    }


@pytest.mark.parametrize(
    ("text", "kept"), [("[" * 17, False), ("[" * 600, False), ('{"a":[]}', True), ("[]" * 90, True)]
)
def test_an_annotation_that_no_reader_of_json_comes_to_the_end_of_is_not_kept(text: str, kept: bool) -> None:
    assert bool(kept_annotations({"mcs.tvox.io/disruptions": text})) is kept


@pytest.mark.parametrize("text", ['{"image":"\\ud800"}', '{"image":"\\uDFFF"}', "\ud800"])
def test_an_annotation_that_spells_half_of_a_character_is_not_kept(text: str) -> None:
    """Read as JSON it would be in what is rendered, and no digest of that could be made."""
    assert kept_annotations({"mcs.tvox.io/kept-image": text}) == {}


def test_times_that_are_texts_are_kept() -> None:
    times = {"creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z"}
    found = tidy({"metadata": GOOD | times})
    assert found == {"metadata": GOOD | times | {"labels": {}, "annotations": {}, "ownerReferences": []}}


@pytest.mark.parametrize("lost", GOOD)
def test_what_cannot_be_placed_is_none(lost: str) -> None:
    assert tidy({"metadata": GOOD}) is not None
    assert tidy({"metadata": GOOD | {lost: ""}}) is None
    assert tidy({"metadata": {key: value for key, value in GOOD.items() if key != lost}}) is None


def test_a_version_has_20_digits_at_most() -> None:
    assert [is_version(value) for value in ("0", "9" * 20, "9" * 21, "", "-1", "1a", "٣", 7)] == [
        *(True, True, False, False, False, False, False, False)
    ]


def test_of_a_child_the_labels_are_kept_that_are_ours_or_kubernetes() -> None:
    labels = dict.fromkeys(["app.kubernetes.io/part-of", "mcs.tvox.io/other", "app", "example.com/mcs.tvox.io/x"], "1")
    kept = kept_of_a_child({"labels": labels, "annotations": {}, "ownerReferences": []})
    assert kept == {
        "labels": {"app.kubernetes.io/part-of": "1", "mcs.tvox.io/other": "1"},
        "annotations": {},
        "ownerReferences": [],
    }


@pytest.mark.parametrize(("foreign", "all_kept"), [(26, True), (27, False)])
def test_of_more_than_32_labels_those_are_kept_that_somebody_asks_for(foreign: int, all_kept: bool) -> None:
    others = {f"mcs.tvox.io/x{number}": "1" for number in range(foreign)}
    ours = dict.fromkeys(OURS, "1")
    kept = kept_of_a_child({"labels": others | ours, "annotations": {}, "ownerReferences": []})["labels"]
    assert kept == (others | ours if all_kept else ours)


def test_of_our_annotations_32_are_kept_and_of_each_1024_characters() -> None:
    fits, long = {"mcs.tvox.io/a": "x" * 1024}, {"mcs.tvox.io/b": "x" * 1025}
    assert kept_annotations(fits | long | {"example.com/a": "x"}) == fits
    many = {f"mcs.tvox.io/{number}": "x" for number in range(33)}
    assert len(kept_annotations(many)) == 32
    assert kept_of_a_child({"labels": {}, "annotations": fits | long, "ownerReferences": []})["annotations"] == fits


def test_of_the_owners_64_are_kept() -> None:
    owners = [OWNER | {"uid": str(number)} for number in range(65)]
    assert (
        kept_of_a_child({"labels": {}, "annotations": {}, "ownerReferences": owners})["ownerReferences"] == owners[:64]
    )


def test_labels_that_an_object_lacks_are_told_as_they_are_written() -> None:
    assert missing_labels({"a": "1", "x": "y"}, {"c": "3", "b": "2", "a": "1"}) == "b=2, c=3"
    assert missing_labels({"a": "1"}, {"a": "1"}) == ""
