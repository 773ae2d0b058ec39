"""The bounds of what is taken in, each at its edge."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mcs_operator.kube.parse.bounds import (
    UnreadableError,
    count,
    decoded,
    entry,
    files_in,
    has_half_characters,
    is_too_deep,
    load_json,
    mapping,
    mappings,
    maybe_moment,
    text,
    texts,
)
from support.hostile import encoded

KIB_64 = 65_536


def test_a_text_is_cut_at_64_kib_and_an_entry_that_is_longer_is_left_out() -> None:
    assert text("x" * (KIB_64 + 1)) == "x" * KIB_64
    assert text("abc", 2) == "ab"
    assert text(7) == ""
    assert set(texts({"fits": "x" * KIB_64, "long": "x" * (KIB_64 + 1), "none": 7})) == {"fits"}
    assert texts({"fits": "ab", "long": "abc"}, 2) == {"fits": "ab"}


def test_what_is_no_mapping_is_an_empty_one() -> None:
    assert mapping({"a": 1}) == {"a": 1}
    assert mapping(["a"]) == {}
    assert mappings([{"a": 1}, "b", {}]) == [{"a": 1}, {}]
    assert mappings({"a": 1}) == []


def test_base64_is_decoded_up_to_the_length_that_so_many_bytes_may_take_and_no_further() -> None:
    """With the padding, or one line's end: 8 characters for 3 bytes."""
    assert decoded("YWJj" + "\n" * 4, 3) == "abc"
    with pytest.raises(UnreadableError):
        decoded("YWJj" + "\n" * 5, 3)
    assert decoded(encoded("x" * KIB_64)) == "x" * KIB_64
    with pytest.raises(UnreadableError):
        decoded(encoded("x" * (KIB_64 + 1024)))


def test_of_a_secret_the_entries_asked_for_are_taken_and_what_cannot_be_read_is_left_out() -> None:
    data = {"a": encoded("1"), "b": 7, "c": encoded("3"), "other": encoded("4")}
    assert files_in(data, ("a", "b", "missing", "c")) == {"a": "1", "c": "3"}
    assert files_in("no mapping", ("a",)) == {}


def test_json_may_have_64_kib_of_characters() -> None:
    assert load_json('"' + "x" * (KIB_64 - 2) + '"') == "x" * (KIB_64 - 2)
    with pytest.raises(UnreadableError, match="longer"):
        load_json('"' + "x" * (KIB_64 - 1) + '"')


def test_json_is_nested_16_deep_at_most() -> None:
    assert load_json('[{"a":' * 8 + "1" + "}]" * 8)
    with pytest.raises(UnreadableError, match="deep"):
        load_json("[" * 17 + "]" * 17)
    assert is_too_deep("[" * 16 + "]" * 16) is False
    assert is_too_deep("{" * 17) is True
    assert is_too_deep("[" * 16) is False


def test_what_is_closed_again_is_not_deep_and_does_not_make_up_for_what_is() -> None:
    assert is_too_deep("[]{}" * 100) is False
    assert is_too_deep("[]" * 20 + "[" * 17) is True


def test_brackets_and_quotes_beyond_number_are_not_counted_through() -> None:
    assert is_too_deep("[]" * 25_000 + "{}" * 25_000) is False
    assert is_too_deep("[]" * 25_000 + "{}" * 25_001) is True
    assert is_too_deep('"' * 300_000) is False
    assert is_too_deep('"' * 300_001) is True


@pytest.mark.parametrize("half", ["\ud800", "\udfff", "\\ud800", "\\uDfff", "\\ud9", "\\uDa", "\\udF"])
def test_half_a_character_is_refused_as_it_is_and_as_it_is_spelled(half: str) -> None:
    assert has_half_characters(f'"{half}"') is True
    with pytest.raises(UnreadableError):
        load_json(f'"{half}"')


def test_whole_characters_are_not_taken_for_halves() -> None:
    assert has_half_characters('"\\u0041 \\ud7ff è 😀"') is False
    assert load_json('"\\u0041è😀"') == "Aè😀"


def test_numbers_of_18_digits_are_taken_and_fractions_as_they_are() -> None:
    assert load_json("[999999999999999999, 1.5, -7]") == [999_999_999_999_999_999, 1.5, -7]
    with pytest.raises(UnreadableError):
        load_json("1000000000000000000")


def test_a_time_may_be_null_where_it_may_be_missing() -> None:
    assert maybe_moment(None) is None
    assert maybe_moment("2026-01-02T03:04:05Z") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with pytest.raises(UnreadableError):
        maybe_moment("")


def test_a_count_that_is_none_is_zero_unless_something_else_is_said() -> None:
    assert count("many") == 0
    assert [count(value, -1) for value in (-(10**18), -(10**18) + 1)] == [-1, -(10**18) + 1]


def test_a_missing_entry_is_named() -> None:
    assert entry({"created": 0}, "created") == 0
    with pytest.raises(UnreadableError, match="has no created"):
        entry({}, "created")


def test_a_time_to_which_nothing_can_be_added_is_no_time() -> None:
    assert maybe_moment("9000-12-31T23:59:59Z") is not None
    with pytest.raises(UnreadableError, match="beyond any calendar"):
        maybe_moment("9001-01-01T00:00:00Z")
